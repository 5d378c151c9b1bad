-- Writes library/cce.lua, from which editors complete and check, out of the LDoc
-- comments of the sources:
--   lua tools/luacats.lua          rewrites the file
--   lua tools/luacats.lua --check  fails when that would change it
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
local manual = require "cce.repl.manual"

local PATH = "library/cce.lua"

local HEAD = [[
---@meta cce
-- For language servers that read LuaCATS annotations. tools/luacats.lua writes
-- this file out of the sources; nothing loads it.

]]

-- What the functions of a module belong to: the variable before the dot or the
-- colon, and the class of that.
local OWNERS = {
  ["cce"] = { M = "cce" },
  ["cce.client"] = { Client = "cce.client" },
  ["cce.nodes"] = { client = "cce.client" },
  ["cce.iam"] = { client = "cce.client" },
  ["cce.cts"] = { client = "cce.client" },
  ["cce.job"] = { Job = "cce.job" },
  ["cce.kubeconfig"] = { M = "cce.kubeconfigs", kubeconfig = "cce.kubeconfig" },
  ["cce.credentials"] = { M = "cce.credentials" },
  ["cce.signer"] = { Signer = "cce.signer" },
  ["cce.progress"] = { progress = "cce.progress" },
  ["cce.metrics"] = { M = "cce.metrics_module", metrics = "cce.metrics" },
  ["cce.workflow.issue"] = { [""] = "cce.workflow" },
  ["cce.workflow.rotate"] = { [""] = "cce.workflow" },
  ["cce.workflow.revoke"] = { [""] = "cce.workflow" },
  ["cce.workflow.restore"] = { [""] = "cce.workflow" },
  ["cce.workflow.holders"] = { [""] = "cce.workflow", holders = "cce.holders" },
  ["cce.workflow.grant"] = { [""] = "cce.workflow", grant = "cce.grant" },
  ["cce.schedule"] = { M = "cce.schedules", schedule = "cce.schedule" },
  ["cce.openresty"] = { M = "cce.openresty" },
  ["cce.report"] = { report = "cce.report" },
  ["cce.audit_log"] = { M = "cce.audit_logs", log = "cce.audit_log" },
  ["cce.region"] = { M = "cce.regions" },
  ["cce.error"] = { M = "cce.errors" },
}

-- The classes in their order, with the fields that are no functions.
local CLASSES = {
  { "cce", "_VERSION string", "codes table<string, string> every error code and what it means",
    "credentials cce.credentials", "kubeconfig cce.kubeconfigs", "workflow cce.workflow",
    "schedule cce.schedules", "audit_log cce.audit_logs", "region cce.regions",
    "error cce.errors", "metrics cce.metrics_module" },
  { "cce.client" },
  { "cce.error", "code string a word of `cce.codes`", "message string", "operation? string",
    "status? integer", "api_code? string", "error_code? string", "request_id? string",
    "retryable? boolean", "maybe_applied? boolean", "attempts? integer", "retry_after? number",
    "hint? string" },
  { "cce.cluster", "id string", "name? string", "version? string", "status? string", "raw table" },
  { "cce.job", "id string", "phase? string", "type? string", "cluster_id? string",
    "resource_id? string", "name? string", "reason? string", "sub_jobs cce.job[]", "raw? table" },
  { "cce.kubeconfig", "raw string as it was obtained: it holds a private key", "data table",
    "port_id? string", "cluster_id? string" },
  { "cce.kubeconfigs" },
  { "cce.credentials" },
  { "cce.signer" },
  { "cce.progress" },
  { "cce.metrics_module" },
  { "cce.metrics" },
  { "cce.report", "ok table[]", "failed table[]", "skipped table[]", "uncertain table[]",
    "pending table[]", "notes string[]", "started number", "ended? number", "duration? number",
    "stopped? string", "already_finished? number", "dry_run? boolean", "plan? string[]",
    "undo? string" },
  { "cce.workflow" },
  { "cce.grant", "id string", "kubeconfig cce.kubeconfig", "expires_at number" },
  { "cce.schedule" },
  { "cce.schedules" },
  { "cce.openresty" },
  { "cce.audit_log", "path string", "count integer", "head string" },
  { "cce.audit_logs" },
  { "cce.regions" },
  { "cce.errors" },
}

-- ---- types -----------------------------------------------------------------------

local NAMES = { int = "integer", callable = "function", thread = "thread" }

-- "?string" → "string?", "{cce.job,...}" → "cce.job[]", "a|b" stays.
local function type_of(text)
  local optional = text:match "^%?(.+)$"
  if optional then return type_of(optional) .. "?" end
  local parts = {}
  for part in text:gmatch "[^|]+" do
    local element = part:match "^{(.+),%.%.%.}$"
    parts[#parts + 1] = element and type_of(element) .. "[]" or NAMES[part] or part
  end
  return table.concat(parts, "|")
end

local function one_line(lines)
  local text = table.concat(lines, " "):gsub("%s+", " "):gsub("@{([^}|]*)|?[^}]*}", "%1")
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

-- ---- one function ------------------------------------------------------------------

local function add(out, format, ...)
  out[#out + 1] = (format:format(...):gsub("%s+$", ""))
end

-- What it does, and how it is used.
local function add_text(out, block)
  for _, line in ipairs(block.text) do add(out, "---%s", line) end
  for _, tag in ipairs(block.tags) do
    if tag.name == "usage" then
      add(out, "---```lua")
      for _, line in ipairs(tag.lines) do
        if line ~= "" then add(out, "---%s", line) end
      end
      add(out, "---```")
    end
  end
end

local function options_of(list, table_name)
  local fields = {}
  for _, each in ipairs(list) do
    local owner, name = each.name:match "^([%w_]+)%.([%w_]+)$"
    if owner == table_name then
      fields[#fields + 1] = ("%s%s %s %s"):format(name, each.modifier:find "^opt" and "?" or "",
        type_of(each.kind or "any"), one_line { each.text })
    end
  end
  return fields
end

-- A table of options gets a class of its own, so that its names complete.
local function add_parameters(out, classes, block, full_name)
  local list, names = manual.parameters(block), {}
  for _, each in ipairs(list) do
    if not each.name:find(".", 1, true) then
      local fields = options_of(list, each.name)
      local kind = type_of(each.kind or "any")
      if #fields > 0 then
        kind = full_name .. "." .. each.name
        classes[#classes + 1] = { kind, fields }
      end
      add(out, "---@param %s%s %s %s", each.name:gsub("^%.%.%.$", "..."),
        each.modifier:find "^opt" and "?" or "", kind, one_line { each.text })
      names[#names + 1] = each.name
    end
  end
  return table.concat(names, ", ")
end

-- LDoc has two shapes, what comes of it and `nil, message, err`; LuaCATS has one
-- list, whose places may be nil.
local function returns_of(block)
  local good, fails = {}, false
  for _, tag in ipairs(block.tags) do
    if tag.name == "return" then
      fails = fails or tag.lines[1]:find "^nil, message" ~= nil
    elseif tag.name == "treturn" and tag.modifier == "2" then
      fails = true
    elseif tag.name == "treturn" then
      local text = one_line(tag.lines)
      local kind, rest = text:match "^(%S+)%s*(.*)$"
      good[#good + 1] = { type_of(kind), rest }
    end
  end
  return good, fails
end

local function add_returns(out, block)
  local good, fails = returns_of(block)
  if not fails then
    for _, each in ipairs(good) do add(out, "---@return %s # %s", each[1], each[2]) end
    return
  end
  local FAILURE = { nil, { "string?", "message" }, { "cce.error?", "err" } }
  for i = 1, math.max(3, #good) do
    local mine, failure = good[i], FAILURE[i]
    if i == 1 then
      local kind = (mine and mine[1] or "any"):gsub("%??$", "?")
      add(out, "---@return %s # %s", kind, mine and mine[2] or "")
    elseif mine and failure then
      add(out, "---@return %s # %s", mine[1] .. "|" .. failure[1], failure[2])
    else
      add(out, "---@return %s %s", (failure or mine)[1], (failure or mine)[2])
    end
  end
end

local function variable_of(class)
  return class == "cce" and "cce" or class:gsub("^cce%.", ""):gsub("%.", "_")
end

local function add_function(functions, classes, class, block, separator, name)
  local out = {}
  add_text(out, block)
  local arguments = add_parameters(out, classes, block, class .. "." .. name)
  add_returns(out, block)
  add(out, "function %s%s%s(%s) end", variable_of(class), separator, name, arguments)
  add(out, "")
  functions[class] = functions[class] or {}
  for _, line in ipairs(out) do table.insert(functions[class], line) end
end

-- ---- all modules -----------------------------------------------------------------

-- The class of a function, what stands before its name there, and its name.
local function place_of(owners, full_name)
  -- "cce.schedule.open" is the same as "M.open" in that module.
  full_name = full_name:gsub("^cce%.[%w_.]+%.", "M.")
  local owner, separator, name = full_name:match "^([%w_]*)([.:]?)([%w_]+)$"
  if separator == "" then owner, name = "", full_name end
  local class = owners[owner] or (owner == "" and owners.M)
  return class, separator == ":" and ":" or ".", name
end

local function is_function(block)
  for _, tag in ipairs(block.tags) do
    if tag.name == "function" then return true end
  end
  return block.code:find("function", 1, true) ~= nil
end

local function text_of_all()
  local out, functions, classes = {}, {}, {}
  for _, module in ipairs(manual.modules) do
    for _, block in ipairs(manual.entries(module)) do
      local class, separator, name = place_of(OWNERS[module] or {}, block.name)
      if class and is_function(block) then
        add_function(functions, classes, class, manual.followed(block), separator, name)
      end
    end
  end
  for _, class in ipairs(classes) do
    add(out, "---@class (exact) %s", class[1])
    for _, field in ipairs(class[2]) do add(out, "---@field %s", field) end
    add(out, "")
  end
  for _, class in ipairs(CLASSES) do
    local name = class[1]
    if functions[name] or #class > 1 then
      add(out, "---@class %s", name)
      for i = 2, #class do add(out, "---@field %s", class[i]) end
      add(out, "local %s = {}", variable_of(name))
      add(out, "")
      for _, line in ipairs(functions[name] or {}) do out[#out + 1] = line end
    end
  end
  add(out, "return cce")
  return HEAD .. table.concat(out, "\n") .. "\n"
end

local text = text_of_all()
if arg[1] == "--check" then
  local file = io.open(PATH, "rb")
  if not file or file:read "*a" ~= text then
    io.stderr:write(PATH, " is not what the sources say; run `lua5.4 tools/luacats.lua`\n")
    os.exit(1)
  end
  file:close()
else
  local file = assert(io.open(PATH, "wb"))
  file:write(text)
  file:close()
end
