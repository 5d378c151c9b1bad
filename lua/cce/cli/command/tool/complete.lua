--- `cce __complete WORD…`: what the last, unfinished word may become; shells ask
-- it (see `cce.cli.command.tool.completion`).
--
-- Each line is a candidate, a tab and what it is; or `:files` or `:directories`,
-- which the shell knows itself. The placeholder of an option or argument says of
-- what kind it is. Nothing is ever said on standard error, and nothing waits
-- long: a shell that hangs at a tab is worse than one that knows nothing.
-- @module cce.cli.command.tool.complete
-- @local
local core = require "cce.core"
local directories = require "cce.base.directories"
local exit = require "cce.cli.exit"

local M = { name = "__complete", summary = "Complete a word.", hidden = true }

-- Seconds: how long the clusters are waited for, and kept.
local PATIENCE, FRESH = 3, 60

function M.describe(parser)
  parser:handle_options(false)
  parser:argument("word"):args("*")
end

-- ---- clusters, kept for a minute ---------------------------------------------------

-- All that decides whose clusters they are.
local ENVIRONMENT = { "CCE_PROFILE", "CCE_CLOUD", "CCE_ENDPOINT", "CCE_REGION", "HW_REGION_NAME",
  "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_PROJECT_ID", "HUAWEICLOUD_SDK_CREDENTIALS_FILE" }
local GLOBAL = { "profile", "cloud", "region", "project", "ca_file", "token_file" }

local function ask_for_clusters(args)
  local opts = require("cce.cli.input.profile").client_options(args)
  if not opts then return {} end
  opts.timeout, opts.deadline, opts.retry = PATIENCE, PATIENCE, { max_attempts = 1 }
  local client = require("cce").new(opts)
  local list = client and client:list_clusters()
  local clusters = {}
  for i, each in ipairs(list or {}) do
    clusters[i] = { name = each.name or each.id, id = each.id, status = each.status or "" }
  end
  if client then client:close() end
  return clusters
end

local function clusters_of(args)
  local parts = { table.concat(args.endpoint, " ") }
  for _, name in ipairs(GLOBAL) do parts[#parts + 1] = name .. "=" .. (args[name] or "") end
  for _, name in ipairs(ENVIRONMENT) do parts[#parts + 1] = os.getenv(name) or "" end
  local hash = core.sha256(table.concat(parts, "\n")):sub(1, 32)
  local path = ("%s/clusters-%s"):format(directories.cache(), hash)
  local text = core.file.read(path)
  local kept = text and core.json.decode(text)
  if type(kept) == "table" and type(kept.at) == "number" then
    -- What was written in the future was written by a clock that was wrong.
    local age = os.time() - kept.at
    if age >= 0 and age < FRESH and kept.clusters then return kept.clusters end
  end
  local clusters = ask_for_clusters(args)
  -- A cache that cannot be written costs another request, and nothing else.
  if #clusters > 0 and directories.make(directories.cache()) then
    core.file.write(path, core.json.encode { at = os.time(), clusters = clusters })
  end
  return clusters
end

-- ---- kinds of values ---------------------------------------------------------------

local kinds = {}

function kinds.CLUSTER(args, add)
  for _, each in ipairs(clusters_of(args)) do
    add(each.name, ("%s %s"):format(each.id, each.status))
  end
end

function kinds.PROFILE(_, add)
  local profile = require "cce.cli.input.profile"
  for name in pairs(profile.read(profile.path()) or {}) do add(name, "profile") end
end

function kinds.REGION(_, add)
  for _, name in ipairs(require("cce.region").names()) do add(name, "region") end
end

function kinds.COMMAND(_, add)
  for _, name in ipairs(require("cce.cli").commands) do
    if not name:find "^_" then add(name, "command") end
  end
end

function kinds.FILE(_, _, say) say ":files" end
function kinds.DIR(_, _, say) say ":directories" end
kinds.PATH = kinds.FILE

local function add_values(element, args, add, say)
  if element._choices then
    for _, choice in ipairs(element._choices) do add(choice, "") end
    return
  end
  local name = element._argname
  local kind = kinds[type(name) == "table" and name[1] or name]
  if kind then kind(args, add, say) end
end

-- ---- where the unfinished word stands --------------------------------------------------

local function find_option(state, word)
  for _, parser in ipairs(state.parsers) do
    for _, option in ipairs(parser._options) do
      for _, alias in ipairs(option._aliases) do
        if alias == word then return option end
      end
    end
  end
end

local function find_command(parser, word)
  for _, command in ipairs(parser._commands) do
    if command._name == word then return command end
  end
end

-- One finished word further: an option's value, an option, a command, or an argument.
local function step(state, word)
  if state.option then
    local aliases = state.option._aliases
    local name = aliases[#aliases]:gsub("^%-+", ""):gsub("-", "_")
    if name == "endpoint" then
      table.insert(state.args.endpoint, word)
    else
      state.args[name] = word
    end
    state.option = nil
    return
  end
  local option = word:find "^%-." and find_option(state, word)
  if option then
    state.option = option._maxargs > 0 and option or nil
  elseif not word:find "^%-." then
    local command = find_command(state.parsers[1], word)
    if command then
      table.insert(state.parsers, 1, command)
    else
      state.position = state.position + 1
    end
  end
end

local function complete(state, current, add, say)
  local parser = state.parsers[1]
  if state.option then return add_values(state.option, state.args, add, say) end
  if current:sub(1, 1) == "-" then
    for _, each in ipairs(state.parsers) do
      for _, option in ipairs(each._options) do
        add(option._aliases[#option._aliases], option._description or "")
      end
    end
    return
  end
  for _, command in ipairs(parser._commands) do
    if not command._hidden then add(command._name, command._description or "") end
  end
  if #parser._commands > 0 then return end
  -- The last argument may take any number of words.
  local last = parser._arguments[#parser._arguments]
  local argument = parser._arguments[state.position]
    or last and last._maxargs == math.huge and last or nil
  if argument then add_values(argument, state.args, add, say) end
end

-- ---- from beginning to end -----------------------------------------------------------

--- The lines for some words.
-- @tparam {string,...} given the last one is unfinished
-- @treturn {string,...}
function M.lines(given)
  local words, lines = {}, {}
  for i, word in ipairs(given) do words[i] = word end
  local current = table.remove(words) or ""
  -- Which commands there are is asked for while none is typed.
  local state = { parsers = { require("cce.cli").parser(words) }, position = 1,
    args = { endpoint = {} } }
  for _, word in ipairs(words) do step(state, word) end
  local function add(value, description)
    if value:sub(1, #current) == current then
      lines[#lines + 1] = ("%s\t%s"):format(value, (description:match "^[^\n]*"))
    end
  end
  complete(state, current, add, function(directive) lines[#lines + 1] = directive end)
  return lines
end

function M.run(args, ui)
  local ok, lines = pcall(M.lines, args.word)
  if ok and #lines > 0 then ui:print(table.concat(lines, "\n")) end
  return exit.DONE
end

return M
