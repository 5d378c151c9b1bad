--- The files of KUBECONFIG as one, the way kubectl joins them: of entries with one name the
-- first is taken, whole, and so is the first `current-context`; a relative path starts at the
-- directory of its own file.
--
-- kubectl uses none of them when one cannot be read; here that one is named, and the others
-- are used.
-- @module cce.kubeconfig.joined
-- @local
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local names = require "cce.kubeconfig.names"
local read = require "cce.kubeconfig.read"

local M = {}

-- Those of our use: commands are kubectl's alone.
local FILES = {
  clusters = { "certificate-authority" },
  users = { "client-certificate", "client-key", "tokenFile" }, contexts = {},
}

local function with_whole_paths(section, each, path)
  for _, field in ipairs(FILES[section]) do
    local file = read.non_empty(each.body[field])
    if file and file:sub(1, 1) ~= "/" then
      each.body[field] = (path:match "^(.*/)" or "") .. file
    end
  end
  return each.entry
end

local function add(all, origin, path, data)
  for _, section in ipairs(read.section_order) do
    for _, each in ipairs(read.entries(data, section)) do
      if not origin[section][each.name] then
        origin[section][each.name] = path
        table.insert(all[section], with_whole_paths(section, each, path))
      end
    end
  end
  all["current-context"] = all["current-context"] or read.non_empty(data["current-context"])
end

-- One alone is what it is, without a copy.
local function read_one(path, clock)
  local config = kubeconfig.load(path, { clock = clock })
  if not config then return nil end
  local origin = {}
  for _, section in ipairs(read.section_order) do
    origin[section] = setmetatable({}, { __index = function() return path end })
  end
  return { config = config, origin = origin, problems = {} }
end

--- Read them.
-- @tparam {string,...} files as of `cce.kubeconfig.paths`
-- @tparam[opt] function clock
-- @treturn table `{config=<cce.kubeconfig of all that could be read>, origin={clusters=,
--   users=, contexts=}, problems={{path=, message=, err=},...}}`; `origin` has the file of
--   each name
function M.read(files, clock)
  local one = #files == 1 and read_one(files[1], clock)
  if one then return one end
  local all = { kind = "Config", apiVersion = "v1", clusters = {}, users = {}, contexts = {} }
  local origin = { clusters = {}, users = {}, contexts = {} }
  local problems = {}
  for _, path in ipairs(files) do
    local config, message, err = kubeconfig.load(path, { clock = clock })
    if config then
      add(all, origin, path, names.copy(config.data))
    else
      problems[#problems + 1] = { path = path, message = message, err = err }
    end
  end
  for _, section in ipairs(read.section_order) do
    if #all[section] == 0 then all[section] = nil end
  end
  -- Without a directory in its name, so that paths are taken as they are now.
  local config = assert(kubeconfig.load("KUBECONFIG", { clock = clock,
    text = assert(json.encode(all)) }))
  return { config = config, origin = origin, problems = problems }
end

return M
