--- The manual at the prompt: what the LDoc comments of the installed sources
-- say about a function, rendered for a terminal.
-- @module cce.repl.manual
-- @local
local values = require "cce.base.values"

local M = {}

-- The public modules, in the order in which `help()` names them. A spec compares
-- them with the sources.
M.modules = {
  "cce", "cce.client", "cce.nodes", "cce.iam", "cce.cts", "cce.job", "cce.cluster",
  "cce.kubeconfig", "cce.credentials", "cce.signer", "cce.map", "cce.expiry", "cce.progress",
  "cce.workflow", "cce.workflow.issue", "cce.workflow.rotate", "cce.workflow.revoke",
  "cce.workflow.restore", "cce.workflow.grant", "cce.workflow.holders",
  "cce.schedule", "cce.openresty", "cce.metrics", "cce.report", "cce.audit_log",
  "cce.region", "cce.certificate", "cce.error",
}

-- Where the sources of those are that are not named like their file: what a
-- client's methods and results are is described under the name that users know.
M.sources = {
  ["cce.nodes"] = "cce.api.nodes", ["cce.iam"] = "cce.api.iam", ["cce.cts"] = "cce.api.cts",
  ["cce.job"] = "cce.api.job", ["cce.cluster"] = "cce.api.cluster",
  ["cce.report"] = "cce.text.report", ["cce.audit_log"] = "cce.log.audit_log",
  ["cce.workflow.grant"] = "cce.schedule.grant",
}

-- ---- reading ---------------------------------------------------------------

local function searchpath(name)
  local path = (M.sources[name] or name):gsub("%.", "/")
  for template in package.path:gmatch "[^;]+" do
    local candidate = template:gsub("?", (path:gsub("%%", "%%%%")))
    local file = io.open(candidate)
    if file then
      file:close()
      return candidate
    end
  end
end

-- What a line of code defines: "M.new", "Client:close"; or nil.
local function defined_name(code)
  return code:match "^%s*local%s+function%s+([%w_]+)" or code:match "^%s*function%s+([%w_.:]+)"
    or code:match "^([%w_.]+)%s*=%s*function" or code:match "^(M%.[%w_]+)%s*="
end

-- A tag goes on until the next one.
local function add_line(block, line)
  local name, rest = line:match "^%s*@(%w+)(.*)$"
  if name then
    local modifier = rest:match "^%b[]" or ""
    local tag = { name = name, modifier = modifier:sub(2, -2),
      lines = { (rest:sub(#modifier + 1):gsub("^%s+", "")) } }
    block.tags[#block.tags + 1] = tag
  else
    local tag = block.tags[#block.tags]
    local lines = tag and tag.lines or block.text
    lines[#lines + 1] = line
  end
end

local function find_tag(block, name)
  for _, tag in ipairs(block.tags) do
    if tag.name == name then return tag.lines[1] end
  end
end

-- The name by which a user calls it: "client:close", "cce.map", "cce.region.names".
local function title_of(name, module)
  if not name or not module then return name end
  if name:find(":", 1, true) then return values.lower(name:sub(1, 1)) .. name:sub(2) end
  local plain = name:match "([%w_]+)$"
  local is_itself = plain == module:match "([%w_]+)$" or plain == "new" and module ~= "cce"
  return is_itself and module or module .. "." .. plain
end

local function close_block(block, code, number)
  block.last, block.code = number - 1, code
  block.name = find_tag(block, "function") or defined_name(code)
  block.module = find_tag(block, "module") or find_tag(block, "classmod")
  block.is_local = find_tag(block, "local") ~= nil
  return block
end

--- Read the LDoc comments of a source.
-- @tparam string source
-- @treturn {table,...} blocks `{name=, title=, module=, is_local=, text={lines}, tags={{name=,
--   modifier=, lines={…}}}, first=, last=, code=}` in their order; `code` is the line after
function M.parse(source)
  local blocks, block, number = {}, nil, 0
  for line in (source .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    local comment = line:match "^%s*%-%-(.*)$"
    local first = comment and comment:match "^%-%s+(.*)$"
    if block and not comment then
      blocks[#blocks + 1] = close_block(block, line, number)
      block = nil
    elseif block then
      add_line(block, (comment:gsub("^ ", "")))
    elseif first then
      block = { first = number, text = {}, tags = {} }
      add_line(block, first)
    end
  end
  if block then blocks[#blocks + 1] = close_block(block, "", number + 1) end
  local module
  for _, each in ipairs(blocks) do
    module = module or each.module
    each.title = title_of(each.name, module)
  end
  return blocks
end

local files = {} -- path → blocks

local function blocks_of(path)
  if files[path] == nil then
    local file = io.open(path, "rb")
    files[path] = file and M.parse(file:read "*a") or false
    if file then file:close() end
  end
  return files[path] or nil
end

local function blocks_of_module(name)
  local path = searchpath(name)
  return path and blocks_of(path)
end

-- ---- finding ---------------------------------------------------------------

local function last_part(name)
  return name and name:match "([%w_]+)$"
end

local function is_entry(block)
  return block.name ~= nil and not block.module and not block.is_local
end

local function find_in(module, name)
  for _, block in ipairs(blocks_of_module(module) or {}) do
    if is_entry(block) and last_part(block.name) == name then return block end
  end
end

-- "Draw a progress bar: see `cce.progress`." leads to the block that says it all.
function M.followed(block)
  local module = table.concat(block.text, " "):match "[Ss]ee `(cce%.[%w_.]+)`%.?%s*$"
  if not module or #block.tags > 1 then return block end
  return find_in(module, last_part(block.name)) or find_in(module, last_part(module))
    or find_in(module, "new") or block
end

--- Find the entry of a function by where it was defined.
-- @tparam function fn
-- @treturn ?table block
function M.of_function(fn)
  local info = debug.getinfo(fn, "S")
  local path = info.source:match "^@(.*)$"
  for _, block in ipairs(path and blocks_of(path) or {}) do
    if block.last + 1 == info.linedefined and not block.module then
      return not block.is_local and M.followed(block) or nil
    end
  end
end

--- Find all entries of a name: "revoke_cert", "client:revoke_cert", "cce.map".
-- @tparam string name
-- @treturn {table,...}
function M.by_name(name)
  local found, seen = {}, {}
  local owner, wanted = name:match "^([%w_.]-)[.:]?([%w_]+)$"
  for _, module in ipairs(M.modules) do
    local fits = owner == "" or module == owner or last_part(module) == last_part(owner)
      or owner == "client" and (module == "cce.nodes" or module == "cce.iam" or module == "cce.cts")
    local block = find_in(module, wanted)
    block = block and (fits or block.title == name) and M.followed(block)
    if block and not seen[block] then
      seen[block] = true
      found[#found + 1] = block
    end
  end
  return found
end

--- The block about a whole module.
-- @tparam string module
-- @treturn ?table
function M.of_module(module)
  for _, block in ipairs(blocks_of_module(module) or {}) do
    if block.module == module then return block end
  end
end

--- The public entries of a module, in the order of the source.
-- @tparam string module
-- @treturn {table,...}
function M.entries(module)
  local list = {}
  for _, block in ipairs(blocks_of_module(module) or {}) do
    if is_entry(block) then list[#list + 1] = block end
  end
  return list
end

-- ---- names of parameters and options ---------------------------------------

local function parameter(tag)
  local text = table.concat(tag.lines, "\n")
  local kind, name, rest
  if tag.name == "param" then
    name, rest = text:match "^(%S+)%s*(.*)$"
  else
    kind, name, rest = text:match "^(%S+)%s+(%S+)%s*(.*)$"
  end
  return name and { kind = kind, name = name, text = rest, modifier = tag.modifier }
end

--- The parameters of an entry.
-- @tparam table block
-- @treturn {table,...} `{name=, kind=, text=, modifier=}`
function M.parameters(block)
  local list = {}
  for _, tag in ipairs(block.tags) do
    if tag.name == "tparam" or tag.name == "param" then list[#list + 1] = parameter(tag) end
  end
  return list
end

--- The names of the options that a function takes in its table.
-- @tparam table block
-- @treturn {string,...}
function M.options(block)
  local names = {}
  for _, each in ipairs(M.parameters(block)) do
    names[#names + 1] = each.name:match "^[%w_]+%.([%w_]+)$"
  end
  return names
end

-- ---- rendering -------------------------------------------------------------

local function signature(block)
  local names = {}
  for _, each in ipairs(M.parameters(block)) do
    if not each.name:find(".", 1, true) then
      local optional = each.modifier:find "^opt"
      names[#names + 1] = optional and "[" .. each.name .. "]" or each.name
    end
  end
  return ("%s(%s)"):format(block.title, table.concat(names, ", "))
end

local function add_indented(out, first, lines, indent)
  for i, line in ipairs(lines) do
    line = line:gsub("^%s+", "")
    out[#out + 1] = i == 1 and first .. line or (" "):rep(indent) .. line
  end
end

local function note_on(each)
  local default = each.modifier:match "^opt=(.*)$"
  local words = { each.kind }
  if each.modifier:find "^opt" then
    words[#words + 1] = default and "default " .. default or "optional"
  end
  return #words > 0 and " (" .. table.concat(words, ", ") .. ")" or ""
end

local function add_parameters(out, block)
  local list = M.parameters(block)
  if #list == 0 then return end
  out[#out + 1] = ""
  for _, each in ipairs(list) do
    local option = each.name:match "^[%w_]+%.(.+)$"
    local indent = option and "    " or "  "
    local text, lines = each.text ~= "" and ": " .. each.text or "", {}
    for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
    add_indented(out, indent .. (option or each.name) .. note_on(each), lines, #indent + 2)
  end
end

local function add_returns(out, block)
  local number
  for _, tag in ipairs(block.tags) do
    if tag.name == "treturn" or tag.name == "return" then
      local word = (number == nil or tag.modifier ~= number) and "  returns " or "      and "
      if tag.modifier == "2" and number ~= "2" then word = "       or " end
      if number == nil then out[#out + 1] = "" end
      add_indented(out, word, tag.lines, 10)
      number = tag.modifier
    end
  end
end

local function add_usage(out, block)
  for _, tag in ipairs(block.tags) do
    if tag.name == "usage" then
      out[#out + 1] = ""
      for _, line in ipairs(tag.lines) do
        if line ~= "" then out[#out + 1] = "    " .. line end
      end
    end
  end
end

-- @{cce.report}, `code` and **words** are for the pages.
local function plain(text)
  return (text:gsub("@{([^}|]*)|?([^}]*)}", function(name, shown)
    return shown ~= "" and shown or name
  end):gsub("`([^`\n]*\n?[^`\n]*)`", "%1"):gsub("%*%*([^*\n]+)%*%*", "%1"))
end

--- The text of an entry.
-- @tparam table block
-- @treturn string
function M.render(block)
  local out = {}
  if not block.module then
    out[1] = block.code:find "=" and not block.code:find "function" and block.title
      or signature(block)
    out[2] = ""
  end
  for _, line in ipairs(block.text) do out[#out + 1] = (block.module and "" or "  ") .. line end
  add_parameters(out, block)
  add_returns(out, block)
  add_usage(out, block)
  local text = plain(table.concat(out, "\n")):gsub("[ \t]+\n", "\n")
  return (text:gsub("\n\n\n+", "\n\n"):gsub("%s+$", ""))
end

--- The first sentence of an entry.
-- @tparam table block
-- @treturn string
function M.summary(block)
  local lines = {}
  for _, line in ipairs(block.text) do
    if line == "" then break end
    lines[#lines + 1] = line
  end
  local text = plain(table.concat(lines, " "))
  return text:match "^(.-[^%.]%.)%s" or text
end

return M
