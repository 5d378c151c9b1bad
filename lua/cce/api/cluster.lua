--- Clusters as `client:list_clusters` and `client:show_cluster` return them.
--
-- Fields: `id`, `name`, `version`, `status` (the phase, such as "Available")
-- and `raw`, all that the API said.
-- @module cce.cluster
local values = require "cce.base.values"

local text, object = values.text, values.object

local M = {}

local Cluster = {}
Cluster.__name = "cce.cluster"

function Cluster:__tostring()
  local who = self.name and self.id .. " " .. self.name or self.id
  return ("cluster %s: %s, %s"):format(who, self.version or "no version",
    self.status or "no status")
end

local List = {}
List.__name = "cce.clusters"

function List:__tostring()
  local rows = {}
  for i, cluster in ipairs(self) do
    rows[i] = { cluster.name or "", cluster.id, cluster.version or "", cluster.status or "" }
  end
  return require("cce.text.table").text({ "NAME", "ID", "VERSION", "STATUS" }, rows)
end

--- Make a cluster of what the API answered.
-- @tparam table raw
-- @treturn ?cce.cluster nil when it has no id
-- @local
function M.new(raw)
  local metadata, spec, status = object(raw.metadata), object(raw.spec), object(raw.status)
  local id = text(metadata.uid)
  if not id then return nil end
  return setmetatable({
    id = id,
    name = text(metadata.name),
    version = text(spec.version),
    status = text(status.phase),
    raw = raw,
  }, Cluster)
end

--- Make a list that prints as a table.
-- @tparam table items as the API answered
-- @treturn {cce.cluster,...}
-- @local
function M.list(items)
  local list = {}
  for _, raw in ipairs(items) do
    list[#list + 1] = M.new(object(raw))
  end
  return setmetatable(list, List)
end

return M
