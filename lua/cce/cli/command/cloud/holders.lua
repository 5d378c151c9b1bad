--- `cce holders`: who holds or may hold a working certificate, by what evidence.
-- @module cce.cli.command.cloud.holders
-- @local
local chosen = require "cce.cli.input.chosen"
local exit = require "cce.cli.exit"
local json = require "cce.base.json"
local principals = require "cce.cli.input.principal"
local words = require "cce.cli.output.words"

local M = { name = "holders", summary = "List who holds or may hold a working certificate.",
  watchable = true }

function M.describe(parser)
  chosen.describe(parser, { all = true, autopilot = true })
  parser:option("--user", "Only this user or agency, by name or id."):argname("NAME")
  parser:option("--traces", "Files of older traces, as CTS exports them."):argname("FILE")
    :args("+"):count("*")
  parser:option("--logs", "Audit logs of cce."):argname("FILE"):args("+"):count("*")
  parser:option("--kubeconfigs", "Files and directories of kubeconfigs."):argname("PATH")
    :args("+"):count("*")
  parser:option("--admin", "Kubeconfigs of an administrator, to read rights in the clusters with.")
    :argname("FILE"):args("+"):count("*")
  parser:option("--expected", "A file of who should be there, one a line: a name or an id, or a"
    .. " cluster and one. Others are unexpected: exit code 4."):argname("FILE")
  parser:flag("--all-states", "Also those whose certificates are revoked, rotated or ended.")
  parser:epilog("The API lists no certificates: this is what CTS has of the last seven days, and"
    .. " what the files tell. What cannot be seen is said.")
end

local columns = {
  { "cluster_name", "CLUSTER", keep = true },
  { "name", "NAME", keep = true }, { "kind", "KIND", keep = true }, { "id", "ID", name = true },
  { "state", "STATE", keep = true, text = function(row)
    return row.unexpected and row.state .. ", UNEXPECTED" or row.state
  end },
  { "iam", "IAM" }, { "latest_end", "LATEST END", keep = true, time = true },
  { "rights", "RIGHTS", json = json.array, text = function(row)
    return row.rights and table.concat(row.rights, ", ")
  end },
  { "cluster_id" }, { "obtained", time = true }, { "revoked", time = true },
  { "rotated", time = true }, { "due", time = true }, { "unexpected" },
  { "evidence", json = json.array },
}

local function flat(lists)
  local all = {}
  for _, list in ipairs(lists or {}) do
    for _, each in ipairs(list) do all[#all + 1] = each end
  end
  return #all > 0 and all or nil
end

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local clusters, expected
  clusters, message, err = chosen.list(client, args)
  if not clusters then return ui:fail(message, err) end
  local only
  if args.user then
    only, message, err = principals.any(ui, client, { args.user })
    if not only then return ui:fail(message, err) end
  end
  if args.expected then
    expected, message, err = chosen.words_of(args.expected)
    if not expected then return ui:fail(message, err) end
  end
  if #clusters == 0 then return ui:table({}, columns) end
  local ids = {}
  for i, each in ipairs(clusters) do ids[i] = each.id end
  local holders
  holders, message, err = require("cce").workflow.holders(client, { clusters = ids,
    user_id = only and only[1].id, traces = flat(args.traces), logs = flat(args.logs),
    kubeconfigs = flat(args.kubeconfigs), expected = expected, admin = flat(args.admin) })
  if not holders then return ui:fail(message, err) end
  local rows = {}
  for _, row in ipairs(holders) do
    -- Who has rights and is not on record may have obtained earlier.
    local is_shown = row.state == "holds" or row.state == "may"
      or row.state == "unknown" and row.rights
    if args.all_states or is_shown then rows[#rows + 1] = row end
  end
  for _, sentence in ipairs(holders.blind) do
    ui:say("cannot see: " .. words.typed(sentence, "holders"))
  end
  local code = ui:table(rows, columns)
  return code == exit.DONE and holders:exit_code() or code
end

return M
