-- The pages that `make docs` writes: complete, and no link of theirs leads nowhere. #toolchain
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local function lines_of(command)
  local list, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

describe("the pages of make docs #toolchain", function()
  local out

  -- They do not depend on the Lua that runs the specs.
  if os.getenv "CCE_TEST_VERSION" ~= "5.4" then
    return pending "they are built once, with Lua 5.4's run"
  end
  if not simulator.has_program "ldoc" then return pending "needs ldoc" end

  setup(function()
    out = tempdir.new()
    local ok = os.execute("tools/docs " .. out .. "/doc >" .. out .. "/log 2>&1")
    assert(ok == true or ok == 0, tempdir.read(out .. "/log"))
  end)

  teardown(function() tempdir.remove(out) end)

  it("begin with the tutorial, and have one for each command", function()
    assert.matches("<h1>Tutorial</h1>", tempdir.read(out .. "/doc/index.html"), 1, true)
    for _, command in ipairs(require("cce.cli").commands) do
      if not command:find "^_" then
        local page = assert(tempdir.read(out .. "/doc/cce-" .. command .. ".html"), command)
        assert.matches("Usage: cce " .. command, page, 1, true)
        -- A line that was typed, and what came of it.
        assert.matches("</span>\n", page:match '<pre class="console">(.-)</pre>', 1, true)
      end
    end
  end)

  it("are each written once, and keep the dashes of options", function()
    local links, count = {}, 0
    for link in tempdir.read(out .. "/doc/errors.html"):match "<nav>(.-)</nav>":gmatch
      '<a href="([^"]+)"' do
      assert.is_nil(links[link], link)
      links[link], count = true, count + 1
    end
    assert.is_true(count > 50)
    assert.matches("when --profile names none", tempdir.read(out .. "/doc/cce-environment.html"), 1,
      true)
  end)

  it("lead nowhere that is not there", function()
    local count = 0
    for _, path in ipairs(lines_of("cd " .. out .. "/doc && find . -name '*.html'")) do
      local text = tempdir.read(out .. "/doc/" .. path)
      local folder = path:match "^(.*/)" or ""
      for link in text:gmatch 'href="([^"]+)"' do
        local target, anchor = link:match "^([^#]*)#?(.*)$"
        if link:find "^%a+://" then target, anchor = "", "" end
        local file = out .. "/doc/" .. (target == "" and path or folder .. target)
        local page = tempdir.read(file)
        assert.truthy(page, path .. " leads to " .. target)
        if anchor ~= "" then
          local found = page:find('id="' .. anchor .. '"', 1, true)
            or page:find('name="' .. anchor .. '"', 1, true)
          assert.truthy(found, path .. " leads to " .. target .. "#" .. anchor)
        end
        count = count + 1
      end
    end
    assert.is_true(count > 500)
  end)

  it("highlight Lua as Lua and nothing else", function()
    local tutorial = tempdir.read(out .. "/doc/index.html")
    assert.matches('<span class="command">$ cce clusters</span>', tutorial, 1, true)
    assert.is_nil(tutorial:match '<pre class="console">[^/]-<span class="keyword">')
    local overview = tempdir.read(out .. "/doc/overview.html")
    assert.matches('<span class="keyword">local</span>', overview, 1, true)
  end)

  it("have an index to search, which JavaScript reads", function()
    if not simulator.has_program "node" then return pending "needs node" end
    local count = lines_of(([[cd %s/doc && node -e '
      const text = require("fs").readFileSync("search_index.js", "utf8");
      const index = new Function(text + "; return SEARCH_INDEX;")();
      const found = index.filter((e) => e.title.includes("revoke_cert"));
      console.log(index.length > 200, found.length > 0, found.every((e) => e.page.includes("#")));'
    ]]):format(out))
    assert.same({ "true true true" }, count)
  end)
end)
