--- `cce clusters`: which there are.
-- @module cce.cli.command.cloud.clusters
-- @local
local chosen = require "cce.cli.input.chosen"

local M = { name = "clusters", summary = "List the clusters of the project.",
  watchable = true,
  calls = { ["client:list_clusters"] = "clusters", ["client:show_cluster"] = "clusters" } }

function M.describe(parser)
  chosen.describe(parser, { autopilot = true })
end

-- A column for Autopilot only where there is one.
local function columns_of(list)
  local title
  for _, each in ipairs(list) do title = title or each.autopilot and "AUTOPILOT" or nil end
  return {
    { "name", "NAME", keep = true }, { "id", "ID", name = true }, { "version", "VERSION" },
    { "status", "STATUS" }, { "project_id" },
    { "autopilot", title, text = function(row) return row.autopilot and "yes" or "-" end },
  }
end

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local list
  list, message, err = chosen.list(client, args)
  if not list then return ui:fail(message, err) end
  return ui:table(list, columns_of(list))
end

return M
