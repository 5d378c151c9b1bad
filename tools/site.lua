-- Writes the manual as pages to browse:
--   tools/run-lua 5.1 tools/site.lua DIRECTORY
-- The tutorial is the first page. Pages of the manual come from manual/ by discount, those of
-- the commands from the parser of the command, the reference from the LDoc comments by ldoc
-- (with tools/site/ldoc.ltp, which writes the body of a page alone).
local cli = require "cce.cli"
local discount = require "discount"
local prettify = require "ldoc.prettify"
local topics = require "cce.cli.topics"

prettify.resolve_inline_references = function(text) return text end

local OUT = assert(arg[1], "usage: tools/site.lua DIRECTORY")

local MANUAL = {
  { "index.html", "manual/tutorial.md" }, { "overview.html", "README.md" },
  { "commands.html", "manual/commands.md" },
  { "library.html", "manual/library.md" }, { "architecture.html", "ARCHITECTURE.md" },
  { "nginx.html", "manual/nginx.md" }, { "schedule.html", "manual/schedule.md" },
  { "security.html", "manual/security.md" }, { "files.html", "manual/files.md" },
  { "leaver.html", "manual/leaver.md" }, { "recovery.html", "manual/recovery.md" },
  { "break-glass.html", "manual/break-glass.md" },
  { "json.html", "manual/json.md" },
  { "errors.html", "manual/errors.md" }, { "metrics.html", "manual/metrics.md" },
  { "sdks.html", "manual/sdks.md" },
  { "releasing.html", "manual/releasing.md" }, { "changelog.html", "CHANGELOG.md" },
}

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(OUT .. "/" .. path, "wb"))
  file:write(text)
  file:close()
end

local function shell(line)
  local ok = os.execute(line)
  if ok ~= true and ok ~= 0 then error("this failed: " .. line, 0) end
end

local function escape(text)
  return (text:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub(">", "&gt;"))
end

-- ---- Markdown ----------------------------------------------------------------------

local function highlighted(language, code)
  if language == "lua" then return prettify.code("lua", "a page", code .. "\n", 0, false) end
  if language ~= "console" then return escape(code) end
  -- Of what stands in a terminal, the lines that a person types stand out.
  local lines = {}
  for raw in (code .. "\n"):gmatch "(.-)\n" do
    local line = escape(raw)
    lines[#lines + 1] = line:find "^%$ " and '<span class="command">' .. line .. "</span>" or line
  end
  return table.concat(lines, "\n")
end

-- Code goes round discount, which would know nothing of languages.
local function html_of(markdown)
  local blocks = {}
  markdown = ("\n" .. markdown):gsub("\n```(%w*)\n(.-)\n```", function(language, code)
    blocks[#blocks + 1] = ('<pre class="%s">%s</pre>'):format(language,
      highlighted(language, code))
    return ("\n\nCODEBLOCK%dEND\n\n"):format(#blocks)
  end)
  -- Without its typography, which makes a dash of the two of an option.
  local html = discount(markdown, "nopants")
  if type(html) == "table" then html = html.body end
  html = html:gsub("<p>CODEBLOCK(%d+)END</p>", function(number) return blocks[tonumber(number)] end)
  return (html:gsub("<h([23])>(.-)</h%1>", function(level, title)
    -- As GitHub makes it.
    local id = title:gsub("<.->", ""):gsub("&%w+;", ""):lower():gsub("[^%w%s_-]", "")
      :gsub("%s", "-")
    return ('<h%s id="%s">%s</h%s>'):format(level, id, title, level)
  end))
end

local PAGE_OF = {}
for _, page in ipairs(MANUAL) do PAGE_OF[page[2]:match "[^/]+$"] = page[1] end

-- A page links to another as both lie in the tree.
local function relink(html)
  return (html:gsub('href="([^"#:]+)(#?[^"]*)"', function(target, anchor)
    local page = PAGE_OF[target:match "[^/]+$"]
    return page and ('href="%s%s"'):format(page, anchor) or nil
  end))
end

-- ---- the commands ------------------------------------------------------------------

-- The steps in which a command is used, with what they showed: a spec types them.
local function shown_of(name)
  local steps = {}
  local pages = read "manual/tutorial.md" .. read "manual/commands.md"
  for block in pages:gmatch "\n```console\n(.-)\n```" do
    for step in (block .. "\n$ "):gmatch "(%$ .-)\n%f[%$]" do
      local typed = step:match "^[^\n]*"
      if typed:find("%f[%w]cce " .. name .. "%f[^%w_]") then steps[#steps + 1] = step end
    end
  end
  assert(steps[1], "no page shows cce " .. name)
  return table.concat(steps, "\n")
end

local function command_page(command)
  local name = command._name
  local parts = { ("# cce %s\n\n%s\n"):format(name, command._description or "") }
  local function add_help(parser, title)
    parts[#parts + 1] = ("## %s\n\n```text\n%s\n```\n"):format(title,
      (parser:get_help():gsub("\n\nOptions of all commands:.*$", "")))
    for _, inner in ipairs(parser._commands) do add_help(inner, title .. " " .. inner._name) end
  end
  parts[#parts + 1] = "## What it shows\n\n```console\n" .. shown_of(name) .. "\n```\n"
  add_help(command, "cce " .. name)
  return table.concat(parts, "\n")
end

local function entries_page(title, entries)
  local parts = { "# " .. title .. "\n" }
  for _, entry in ipairs(entries) do
    parts[#parts + 1] = ("**`%s`**  \n%s\n"):format(entry[1], entry[2])
    if entry[3] then parts[#parts + 1] = "```ini\n" .. entry[3] .. "\n```\n" end
  end
  return table.concat(parts, "\n")
end

-- ---- pages -------------------------------------------------------------------------

local pages, index = {}, {}

local function plain(html)
  return (html:gsub("<.->", ""):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&")
    :gsub("&%w+;", " "):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

local function add_page(group, path, html, title)
  title = title or plain(html:match "<h1>(.-)</h1>" or path)
  pages[#pages + 1] = { group = group, path = path, html = html, title = title }
end

local function add_to_index(page)
  index[#index + 1] = { page = page.path, title = page.title, of = page.group, text = "" }
  local heads = {}
  for from, _, id, title, to in page.html:gmatch '()<h([23]) id="([^"]*)">(.-)</h%2>()' do
    heads[#heads + 1] = { from = from, id = id, title = plain(title), to = to }
  end
  for i, head in ipairs(heads) do
    local rest = page.html:sub(head.to, heads[i + 1] and heads[i + 1].from - 1 or -1)
    index[#index + 1] = { page = page.path .. "#" .. head.id, title = head.title, of = page.title,
      text = plain(rest):sub(1, 300) }
  end
end

local function navigation(current)
  local parts, group = {}, nil
  for _, page in ipairs(pages) do
    if page.group ~= group then
      parts[#parts + 1] = (group and "</ul>\n" or "") .. "<h2>" .. page.group .. "</h2>\n<ul>"
      group = page.group
    end
    local root = current.path:find "/" and "../" or ""
    local title = escape(page.title)
    parts[#parts + 1] = page == current and ('<li class="here">%s</li>'):format(title)
      or ('<li><a href="%s%s">%s</a></li>'):format(root, page.path, title)
  end
  return table.concat(parts, "\n") .. "\n</ul>"
end

local FRAME = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s - lua-cce</title>
<link rel="stylesheet" href="%ssite.css">
<script src="%ssearch_index.js" defer></script>
<script src="%ssearch.js" defer></script>
</head>
<body data-root="%s">
<input type="checkbox" id="menu" aria-label="menu">
<header>
<label for="menu" class="burger">&#9776;</label>
<a class="home" href="%sindex.html">lua-cce</a>
<input id="search" type="search" placeholder="Search (press /)" autocomplete="off"
  aria-label="Search">
<ol id="found" hidden></ol>
</header>
<nav>
%s
</nav>
<main>
%s
</main>
</body>
</html>
]]

local function write_page(page)
  local root = page.path:find "/" and "../" or ""
  local values = { escape(page.title), root, root, root, root, root, navigation(page), page.html }
  local i = 0
  write(page.path, (FRAME:gsub("%%s", function()
    i = i + 1
    return values[i]
  end)))
end

local function json_text(text)
  return '"' .. text:gsub('[%c"\\<]', function(character)
    return ("\\u%04x"):format(character:byte())
  end) .. '"'
end

shell(("rm -rf '%s' && mkdir -p '%s'"):format(OUT, OUT))
shell(("env -u LUA_PATH -u LUA_CPATH ldoc --fatalwarnings -d '%s/ldoc' . >/dev/null"):format(OUT))
shell(("mkdir '%s/reference' && cp tools/site/site.css tools/site/search.js '%s'"):format(OUT, OUT))
for _, page in ipairs(MANUAL) do
  local text = read(page[2])
  if text then add_page("Manual", page[1], relink(html_of(text))) end
end
for _, command in ipairs(cli.parser()._commands) do
  if not command._hidden then
    add_page("Command", "cce-" .. command._name .. ".html", html_of(command_page(command)))
  end
end
for _, topic in ipairs { "environment", "files" } do
  add_page("Command", "cce-" .. topic .. ".html",
    html_of(entries_page(topic:gsub("^%l", string.upper), topics[topic])))
end
local references = {}
local pipe = assert(io.popen(("cd '%s/ldoc' && ls classes/*.html modules/*.html"):format(OUT)))
for line in pipe:lines() do references[#references + 1] = line end
pipe:close()
table.sort(references, function(a, b) return a:match "/(.*)" < b:match "/(.*)" end)
for _, path in ipairs(references) do
  local name = path:match "([^/]+)%.html$"
  local html = read(OUT .. "/ldoc/" .. path)
    :gsub('href="%.%./%a+/([^"#]+)', 'href="../reference/%1')
  add_page("Reference", "reference/" .. name .. ".html", html, name)
end
for _, page in ipairs(pages) do
  add_to_index(page)
  write_page(page)
end
local rows = {}
for i, entry in ipairs(index) do
  rows[i] = ("{page:%s,title:%s,of:%s,text:%s}"):format(json_text(entry.page),
    json_text(entry.title), json_text(entry.of), json_text(entry.text))
end
write("search_index.js", "const SEARCH_INDEX = [\n" .. table.concat(rows, ",\n") .. "\n];\n")
-- The page on JSON links to them.
shell(("cp -r manual/schema '%s/'"):format(OUT))
shell(("rm -rf '%s/ldoc'"):format(OUT))
