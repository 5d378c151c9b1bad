--- `cce agencies`: who may act for whom.
-- @module cce.cli.command.cloud.agencies
-- @local
local M = { name = "agencies", summary = "List the agencies of the account." }

function M.describe(parser)
  parser:option("--name", "The one of this name."):argname("NAME")
end

local columns = {
  { "name", "NAME", keep = true }, { "id", "ID", name = true }, { "trusts", "TRUSTS" },
  { "domain_id" },
}

function M.run(args, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local list
  list, message, err = client:list_agencies { name = args.name }
  if not list then return ui:fail(message, err) end
  return ui:table(list, columns)
end

return M
