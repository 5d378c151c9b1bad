--- `cce deleted`: users and agencies that were deleted, whose certificates may
-- still work.
-- @module cce.cli.command.cloud.deleted
-- @local
local show = require "cce.text.show"
local stands_for = require("cce.cli.output.words").stands_for
local traces = require "cce.cli.input.traces"

local M = { name = "deleted", summary = "List users and agencies that were deleted of late." }

function M.describe(parser)
  traces.describe(parser)
  parser:option("--tracker-region", "Where the traces of IAM are; by default looked for.")
    :argname("REGION")
  stands_for(parser:option("--tracker-project", "Its project, where it cannot be looked up.")
    :argname("ID"), "tracker_project_id")
  parser:epilog("Their certificates go on working until they are revoked: cce revoke"
    .. " --deleted-since. CTS keeps traces for seven days.")
end

local columns = {
  { "time", "DELETED", keep = true, time = true },
  { "kind", "KIND", keep = true }, { "name", "NAME", keep = true }, { "id", "ID", name = true },
  { "by", "BY" }, { "trace_id" },
}

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local asked = traces.window(args)
  asked.tracker_region, asked.tracker_project_id = args.tracker_region, args.tracker_project
  local list
  list, message, err = client:deleted_principals(asked)
  if not list then return ui:fail(message, err) end
  traces.say_window(ui, list)
  if #list.unidentified > 0 then
    ui:warn(show.count(#list.unidentified, "deletion is", "deletions are")
      .. " on record without saying of whom")
  end
  return ui:table(list, columns)
end

return M
