--- `help()` at the prompt.
-- @module cce.repl.help
-- @local
local complete = require "cce.repl.complete"
local core = require "cce.core"
local manual = require "cce.repl.manual"
local tables = require "cce.text.table"
local values = require "cce.base.values"

local M = {}

-- ---- lists -------------------------------------------------------------------

local function table_of(blocks)
  local rows = {}
  for i, block in ipairs(blocks) do rows[i] = { block.title, manual.summary(block) } end
  return tables.text({ "NAME", "" }, rows)
end

local function module_text(module)
  local about, entries = manual.of_module(module), manual.entries(module)
  if not about and #entries == 0 then return nil end
  local text = about and manual.render(about) or module
  return #entries > 0 and text .. "\n\n" .. table_of(entries) or text
end

-- What is asked for most, and where the rest is.
local FIRST = {
  "client:obtain_cert", "client:revoke_cert", "client:rotate_credentials", "client:wait_job",
  "client:list_clusters", "client:doctor", "cce.workflow.issue", "cce.workflow.rotate",
  "cce.workflow.revoke", "cce.ensure_cert", "cce.expiry", "cce.kubeconfig.load", "cce.map",
  "cce.progress", "cce.new",
}

local PROMPT = [[
At the prompt:
  help(client.revoke_cert)   the manual of a function; help("TIMEOUT") of an error code;
                             help(cce.workflow), help(client) of a module or an object
  bg(fn [, name])            run fn in the background; the prompt stays; its value is a work,
                             with work:stop() and, at its end, work.value
  jobs()                     what runs, or ran, in the background
  _                          the last result, or the error of the last failure
  repl.confirm = false       ask no more before what destroys
Tab completes; Ctrl-C clears the line or interrupts; Ctrl-D ends.]]

local function overview()
  local blocks = {}
  for _, name in ipairs(FIRST) do blocks[#blocks + 1] = manual.by_name(name)[1] end
  return ("%s\n\n%s\n\nMore is in: %s"):format(PROMPT, table_of(blocks),
    table.concat(manual.modules, " ", 2))
end

-- ---- finding what is meant -----------------------------------------------------

local function by_name(name)
  local found = manual.by_name(name)
  if #found == 0 then
    local code = values.upper(name)
    if core.codes[code] then return ("%s: %s"):format(code, core.codes[code]) end
    return module_text(name) or module_text("cce." .. name)
  end
  local texts = {}
  for i, block in ipairs(found) do texts[i] = manual.render(block) end
  return table.concat(texts, "\n\n")
end

-- The module that a table is, or reads through to.
local function module_name(value)
  local meta = getmetatable(value)
  local behind = type(meta) == "table" and rawget(meta, "__index")
  for _, name in ipairs(manual.modules) do
    local loaded = package.loaded[name]
    if loaded ~= nil and (loaded == value or loaded == behind) then return name end
  end
end

local function class_text(value)
  local meta = getmetatable(value)
  local class = type(meta) == "table" and rawget(meta, "__name")
  if type(class) ~= "string" then return nil end
  local about, methods = manual.of_module(class), complete.methods(value)
  local parts = { about and manual.render(about) or nil }
  if #methods > 0 then parts[#parts + 1] = table_of(methods) end
  return #parts > 0 and table.concat(parts, "\n\n") or nil
end

--- The manual's text about a value.
-- @tparam[opt] any value a function, its name, a word of `cce.codes`, a module,
--   an object; nothing: an overview
-- @treturn ?string nil when the manual says nothing about it
function M.text(value)
  if value == nil then return overview() end
  if type(value) == "string" then return by_name(value) end
  if type(value) == "function" then
    local block = manual.of_function(value)
    return block and manual.render(block)
  end
  if value == core.codes then return tostring(value) end
  local name = module_name(value)
  return name and module_text(name) or class_text(value)
end

return M
