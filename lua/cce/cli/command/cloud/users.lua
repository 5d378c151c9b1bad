--- `cce users`: who is in the account.
-- @module cce.cli.command.cloud.users
-- @local
local M = { name = "users", summary = "List the IAM users of the account.",
  watchable = true }

function M.describe(parser)
  parser:option("--name", "The one of this name."):argname("NAME")
  parser:mutex(
    parser:flag("--enabled", "Those who may log in."),
    parser:flag("--disabled", "Those who may not."))
end

local columns = {
  { "name", "NAME", keep = true }, { "id", "ID", name = true },
  { "enabled", "STATE", text = function(user) return user.enabled and "enabled" or "disabled" end },
  { "domain_id" },
}

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local enabled = nil
  if args.enabled or args.disabled then enabled = args.enabled == true end
  local list
  list, message, err = client:list_users { name = args.name, enabled = enabled }
  if not list then return ui:fail(message, err) end
  return ui:table(list, columns)
end

return M
