--- Who a rotation of all certificates of clusters cuts off, as far as this machine
-- knows: kubeconfigs, entries of kubectl's plugin, and grants in the schedule.
-- @module cce.cli.affected
-- @local
local paths = require "cce.kubeconfig.paths"
local show = require "cce.text.show"

local M = {}

local function add_grants(args, is_meant, lines)
  local commands = require "cce.cli.command.upkeep.schedule"
  if not commands.exists(args) then return end
  local schedule, message = commands.open(args)
  local entries
  if schedule then entries, message = commands.all(schedule, "pending") end
  for _, entry in ipairs(entries or {}) do
    if entry.grant and is_meant[entry.cluster_id or ""] then
      lines[#lines + 1] = ("grant %s of %s, until %s: its kubeconfig"):format(entry.id,
        require("cce.schedule.entry").subject(entry), show.time(entry.due))
    end
  end
  if schedule then schedule:close() end
  if not entries then lines[#lines + 1] = "grants are not known: " .. tostring(message) end
end

--- What stops working, for the plan of a rotation.
-- @tparam {string,...} ids of clusters
-- @tparam table args
-- @treturn {string,...} one of each kubeconfig, entry of the plugin and grant that is known here
function M.lines(ids, args)
  local is_meant, lines = {}, {}
  for _, id in ipairs(ids) do is_meant[id] = true end
  local files = paths.default()
  for _, entry in ipairs(#files > 0 and require("cce.expiry")(files, { together = true }) or {}) do
    if entry.err and entry.err.code ~= "INVALID_CERTIFICATE" then
      lines[#lines + 1] = "kubeconfigs are not all known: " .. entry.message
    elseif is_meant[entry.cluster_id or ""] then
      local where = ("%s in %s"):format(entry.context or entry.user or "?", entry.path)
      lines[#lines + 1] = entry.holder
        and where .. ": kubectl obtains another certificate by itself"
        or where .. ": obtain it again, by cce obtain or cce ensure"
    end
  end
  add_grants(args, is_meant, lines)
  return lines
end

return M
