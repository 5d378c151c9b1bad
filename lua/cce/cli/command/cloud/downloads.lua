--- `cce downloads`: who obtained certificates.
-- @module cce.cli.command.cloud.downloads
-- @local
local chosen = require "cce.cli.input.chosen"
local endpoints = require "cce.api.endpoints"
local traces = require "cce.cli.input.traces"

local M = { name = "downloads", summary = "List who obtained certificates, by CTS.",
  watchable = true }

function M.describe(parser)
  parser:argument("cluster", "Id or name of a cluster; none: all of the project."):args("?")
    :argname("CLUSTER")
  traces.describe(parser)
  parser:epilog("CTS keeps traces for seven days: who obtained one before is not in the list.")
end

local columns = {
  { "time", "OBTAINED", keep = true, time = true },
  { "cluster_name", "CLUSTER", keep = true }, { "cluster_id", "CLUSTER ID" },
  { "kind", "KIND", keep = true }, { "name", "NAME", keep = true },
  { "id", "ID", name = true }, { "source_ip", "FROM" }, { "trace_id" },
}

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local address
  address, message, err = endpoints.of(client.config.endpoints, "cts")
  if not address then return ui:fail(message, err) end
  local opts = traces.window(args)
  if args.cluster then
    local cluster
    cluster, message, err = chosen.one(client, args.cluster)
    if not cluster then return ui:fail(message, err) end
    opts.cluster_id = cluster.id
  end
  local list
  list, message, err = client:certificate_downloads(opts)
  if not list then return ui:fail(message, err) end
  traces.say_window(ui, list)
  local names = #list > 0 and chosen.names(client) or {}
  for _, each in ipairs(list) do each.cluster_name = names[each.cluster_id] end
  return ui:table(list, columns)
end

return M
