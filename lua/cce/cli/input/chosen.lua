--- Which clusters a command is about: ids or names, or all that fit.
-- @module cce.cli.input.chosen
-- @local
local autopilot = require "cce.api.autopilot"
local clouds = require "cce.api.cloud"
local core = require "cce.core"
local errors = require "cce.error"
local read = require "cce.kubeconfig.read"
local targets = require "cce.workflow.targets"
local values = require "cce.base.values"

local M = {}

local LONGEST_FILE = 1048576

--- Add the words and options that choose clusters.
-- @tparam table parser of argparse
-- @tparam[opt] table more `all=true`: also --all, since none must not mean all;
--   `autopilot=true`: also --autopilot
function M.describe(parser, more)
  parser:argument("cluster", "Id or name of a cluster."):args("*"):argname("CLUSTER")
  if more and more.all then
    parser:flag("--all", "All clusters of the project" .. (more.autopilot and "."
      or ", without those of CCE Autopilot, which lacks this."))
  end
  parser:option("-f --file", "Clusters by id or name, one a line; - is standard input.")
    :argname("FILE"):target("cluster_file")
  parser:option("--name", "Those whose name fits, such as 'prod-*'."):argname("PATTERN")
  parser:option("--version", "Those of a version, such as v1.27."):argname("VERSION")
    :target("cluster_version")
  if more and more.autopilot then
    parser:flag("--autopilot", "Those of CCE Autopilot, too; one that is named needs no flag.")
  end
  parser:option("--status", "Those in a phase, such as Available."):argname("PHASE")
end

--- The filter that the options are, as the workflows take it; nil: they are none.
-- @tparam table args
-- @treturn ?table
function M.filter(args)
  if not (args.name or args.cluster_version or args.status) then return nil end
  return { name = args.name, version = args.cluster_version, status = args.status,
    autopilot = args.autopilot }
end

-- An id beats a name: names can be given to any cluster, ids cannot.
local function resolve(word, all)
  if all.by_id[word] then return all.by_id[word] end
  local found, names = {}, {}
  for _, each in ipairs(all) do
    if each.name == word then found[#found + 1] = each end
    names[#names + 1] = each.name
  end
  if #found == 1 then return found[1] end
  if #found > 1 then
    local ids = {}
    for i, each in ipairs(found) do
      ids[i] = ("%s (%s, %s)"):format(each.id, each.version or "no version",
        each.status or "no status")
    end
    return errors.fail("INVALID_ARGUMENT", ("%d clusters are named '%s': %s"):format(#found, word,
      table.concat(ids, ", ")), { hint = "Give the id of the one that is meant" })
  end
  local near = require("cce.base.options").nearest(word, names)[1]
  return errors.fail("NOT_FOUND", ("there is no cluster '%s'"):format(word),
    { hint = near and ("Did you mean '%s'?"):format(near) or "See: cce clusters" })
end

-- A user who may not list clusters may still act on one by its id.
local function all_or_ids(client, words)
  local all, message, err = targets.all_for({ client }, function(all)
    local known = {}
    for _, each in ipairs(all) do known[each.name or each.id], known[each.id] = true, true end
    for _, word in ipairs(words) do
      if not known[word] then return false end
    end
    return true
  end)
  if all or err.code ~= "PERMISSION_DENIED" then return all, message, err end
  local found = { by_id = {} }
  for _, word in ipairs(words) do
    local is_id = word:match "^%x+%-%x+%-%x+%-%x+%-%x+$" and #word >= 36
    if not is_id then return nil, message, err end
    found.by_id[word] = { id = word, client = client }
  end
  return found
end

--- Names of clusters by id; none, where the credentials may not list them.
-- @tparam cce.client client
-- @treturn table
function M.names(client)
  local names = {}
  for _, each in ipairs(client:list_clusters() or {}) do names[each.id] = each.name end
  return names
end

--- All of standard input.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.standard_input()
  local text, message = io.stdin:read "*a"
  if text then return text end
  return errors.fail("FILE_ERROR", "cannot read standard input: " .. message)
end

--- The words of a file: one a line, what follows a "#" is for people. It is UTF-8, or by its
-- mark UTF-16.
-- @tparam string path "-" is standard input
-- @tparam[opt] string of what they name, such as "clusters", where none is a mistake
-- @treturn[1] {string,...}
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.words_of(path, of)
  local text, message, err
  if path == "-" then
    text, message, err = M.standard_input()
  else
    text, message, err = errors.from_core(core.file.read(path, { max = LONGEST_FILE }))
  end
  if not text then return nil, message, err end
  -- PowerShell writes a mark before the text, and often UTF-16.
  text, message = read.as_utf8(text)
  if not text then
    return errors.fail("FILE_ERROR", ("cannot read the names in '%s': %s"):format(path, message))
  end
  text = values.without_mark(text)
  local words = {}
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    local word = line:gsub("#.*$", ""):match "^%s*(.-)%s*$"
    if word ~= "" then words[#words + 1] = word end
  end
  if of and #words == 0 then
    return errors.fail("INVALID_ARGUMENT", ("the list of %s is empty"):format(of))
  end
  return words
end

-- Those of --file join those that were typed.
local function add_file(args)
  if not args.cluster_file then return true end
  local words, message, err = M.words_of(args.cluster_file, "clusters")
  if not words then return nil, message, err end
  args.cluster_file = nil
  for _, word in ipairs(words) do args.cluster[#args.cluster + 1] = word end
  return true
end

--- The clusters that are meant; all, when nothing chooses.
-- @tparam cce.client client
-- @tparam table args
-- @treturn[1] {table,...} as those of `cce.workflow.targets`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(client, args)
  local ok, message, err = add_file(args)
  if not ok then return nil, message, err end
  local filter = M.filter(args)
  local ways = (#args.cluster > 0 and 1 or 0) + (filter and 1 or 0) + (args.all and 1 or 0)
  if ways > 1 then
    return errors.fail("INVALID_ARGUMENT",
      "clusters are named, or chosen by --name, --version and --status, or --all: not both")
  end
  if #args.cluster == 0 then
    local selection
    selection, message, err = targets.selection(filter
      or { name = "*", autopilot = args.autopilot }, 1)
    if not selection then return nil, message, err end
    return targets.find({ client }, selection)
  end
  local all
  all, message, err = all_or_ids(client, args.cluster)
  if not all then return nil, message, err end
  -- Each once, however it was named.
  local list, seen = {}, {}
  for _, word in ipairs(args.cluster) do
    local each
    each, message, err = resolve(word, all)
    if not each then return nil, message, err end
    if not seen[each.id] then
      seen[each.id] = true
      list[#list + 1] = each
    end
  end
  return list
end

-- What the cloud is known to lack is said before its clusters are looked for.
local function is_in_cloud(client, operation, fields)
  if not operation then return true end
  return clouds.allows(client.config.cloud, operation, fields)
end

-- The clusters, unless one of them is of CCE Autopilot, which lacks the call.
local function all_have(operation, list)
  for _, each in ipairs(list) do
    local err = operation and each.autopilot and autopilot.lack(operation, each.id)
    if err then return nil, err.message, err end
  end
  return list
end

local function none_fits(filter)
  local parts = {}
  for _, name in ipairs { "name", "version", "status" } do
    if filter[name] then parts[#parts + 1] = ("--%s '%s'"):format(name, filter[name]) end
  end
  return errors.fail("NOT_FOUND", "no cluster fits " .. table.concat(parts, " "),
    { hint = "See: cce clusters" })
end

--- The clusters that are meant, where none chosen is a mistake.
-- @tparam cce.client client
-- @tparam table args
-- @tparam[opt] string operation that the cloud and all of them must have
-- @tparam[opt] table fields its options
-- @treturn[1] {string,...} ids; empty where all are meant, and there are none
-- @treturn[1] {table,...} as those of `list`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.ids(client, args, operation, fields)
  if #args.cluster == 0 and not args.all and not args.cluster_file and not M.filter(args) then
    return errors.fail("INVALID_ARGUMENT", "no cluster is named", {
      hint = "Name clusters by id or name, choose by --name 'prod-*', --version or --status,"
        .. " or give --all" })
  end
  local list
  local ok, message, err = is_in_cloud(client, operation, fields)
  if ok then list, message, err = M.list(client, args) end
  if list then list, message, err = all_have(operation, list) end
  if not list then return nil, message, err end
  if #list == 0 and not args.all then return none_fits(M.filter(args)) end
  local ids = {}
  for i, each in ipairs(list) do ids[i] = each.id end
  return ids, list
end

--- The one cluster that a word means.
-- @tparam cce.client client
-- @tparam string word id or name
-- @tparam[opt] string operation that the cloud and it must have
-- @tparam[opt] table fields its options
-- @treturn[1] table `id`, `name`, `version`, `status`, `project_id`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.one(client, word, operation, fields)
  local all
  local ok, message, err = is_in_cloud(client, operation, fields)
  if ok then all, message, err = all_or_ids(client, { word }) end
  if not all then return nil, message, err end
  local found
  found, message, err = resolve(word, all)
  if found then found, message, err = all_have(operation, { found }) end
  if not found then return nil, message, err end
  return found[1]
end

return M
