local manual = require "cce.repl.manual"

local SOURCE = [=[
--- About a part.
-- @module cce.part
local M = {}

-- A plain remark.
local function hidden() end

--- Do a thing: `twice`, see @{cce.report}.
--
-- More about it.
-- @tparam string name whose
--   thing it is
-- @tparam[opt] table opts
-- @tparam[opt=5] int opts.count how often
-- @tparam[opt] function opts.on_end
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- assert(part.act("x"))
function M.act(name, opts) end

--- Of an object.
-- @function part:close
function Part:close() end

--- Not for users.
-- @local
function M.inner() end

---- A heading ----

--- A constant.
M.LIMIT = 5

return M
]=]

describe("cce.repl.manual", function()
  local blocks = manual.parse(SOURCE)

  local function block(title)
    for _, each in ipairs(blocks) do
      if each.title == title then return each end
    end
  end

  it("reads the blocks, and no other comment", function()
    local titles = {}
    for i, each in ipairs(blocks) do titles[i] = each.module or each.title end
    assert.same({ "cce.part", "cce.part.act", "part:close", "cce.part.inner", "cce.part.LIMIT" },
      titles)
    assert.is_true(block("cce.part.inner").is_local)
  end)

  it("knows the line of the code that follows", function()
    local number = 0
    for line in SOURCE:gmatch "(.-)\n" do
      number = number + 1
      if line:find "^function M.act" then break end
    end
    assert.equal(number, block("cce.part.act").last + 1)
  end)

  it("renders parameters with their types, both returns and the usage", function()
    assert.equal([[
cce.part.act(name, [opts])

  Do a thing: twice, see cce.report.

  More about it.

  name (string): whose
    thing it is
  opts (table, optional)
    count (int, default 5): how often
    on_end (function, optional)

  returns boolean true
       or nil
      and string message
      and table err

    assert(part.act("x"))]], manual.render(block "cce.part.act"))
  end)

  it("names the options", function()
    assert.same({ "count", "on_end" }, manual.options(block "cce.part.act"))
    assert.same({}, manual.options(block "part:close"))
  end)

  it("takes the first sentence for a summary", function()
    assert.equal("Do a thing: twice, see cce.report.", manual.summary(block "cce.part.act"))
  end)

  it("reads a block at the very end, line ends of DOS, and nothing at all", function()
    assert.equal(1, #manual.parse "--- The end.\r\n-- @module x")
    assert.equal("x", manual.parse("--- The end.\r\n-- @module x")[1].module)
    assert.same({}, manual.parse "")
  end)

  it("finds a function by where it is defined, and follows 'see' to the whole text", function()
    local cce = require "cce"
    assert.equal("cce.map", manual.of_function(cce.map).title)
    assert.truthy(manual.render(manual.of_function(cce.map)):find "concurrency")
    assert.equal("client:revoke_cert",
      manual.of_function(getmetatable(cce.new { region = "cn-north-4", project_id = "p",
        credentials = { ak = "AKEXAMPLE", sk = "not-a-real-key" } }).__index.revoke_cert).title)
    assert.is_nil(manual.of_function(print))
  end)

  it("finds by name, with and without an owner", function()
    for _, name in ipairs { "revoke_cert", "client:revoke_cert", "client.revoke_cert" } do
      assert.equal("client:revoke_cert", manual.by_name(name)[1].title)
    end
    assert.equal("cce.workflow.rotate", manual.by_name("cce.workflow.rotate")[1].title)
    assert.equal("client:list_users", manual.by_name("client:list_users")[1].title)
    assert.same({}, manual.by_name "no_such_function")
  end)
end)
