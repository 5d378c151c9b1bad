--- Clusters as `client:list_clusters` and `client:show_cluster` return them.
--
-- Fields: `id`, `name`, `version`, `status` (the phase, such as "Available"),
-- `autopilot` (whether it is one of CCE Autopilot) and `raw`, all that the API said.
-- @module cce.cluster
local autopilot = require "cce.api.autopilot"
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
-- @tparam ?boolean from_autopilot whether Autopilot said it; CCE's answer is looked at
-- @treturn ?cce.cluster nil when it has no id
-- @local
function M.new(raw, from_autopilot)
  local metadata, spec, status = object(raw.metadata), object(raw.spec), object(raw.status)
  local id = text(metadata.uid)
  if not id then return nil end
  return setmetatable({
    id = id,
    name = text(metadata.name),
    version = text(spec.version),
    status = text(status.phase),
    autopilot = from_autopilot or autopilot.is(spec),
    raw = raw,
  }, Cluster)
end

--- Where the API server of a cluster is, as far as the API said it.
-- @tparam ?cce.cluster cluster
-- @treturn {table,...} each with `url`, and `type`, "Internal" or "External"
-- @local
function M.endpoints(cluster)
  local found, status = {}, object(object(object(cluster).raw).status)
  for _, each in ipairs(object(status.endpoints)) do
    if text(object(each).url) then found[#found + 1] = each end
  end
  return found
end

--- Make a list that prints as a table.
-- @tparam {cce.cluster,...} of_cce what is of Autopilot is left out
-- @tparam ?{cce.cluster,...} of_autopilot
-- @treturn {cce.cluster,...}
-- @local
function M.list(of_cce, of_autopilot)
  local list = {}
  for _, cluster in ipairs(of_cce) do
    if not cluster.autopilot then list[#list + 1] = cluster end
  end
  for _, cluster in ipairs(of_autopilot or {}) do list[#list + 1] = cluster end
  return setmetatable(list, List)
end

return M
