--- `cce profiles`: which there are.
-- @module cce.cli.command.tool.profiles
-- @local
local exit = require "cce.cli.exit"
local profile = require "cce.cli.input.profile"

local M = { name = "profiles", summary = "List the profiles of ~/.config/cce/config." }

function M.describe(parser)
  parser:epilog "Profiles hold no secrets: credentials says where the keys are."
end

local columns = {
  { "name", "NAME", keep = true }, { "region", "REGION" }, { "project", "PROJECT" },
  { "endpoint", "ENDPOINT" }, { "credentials", "CREDENTIALS" }, { "schedule", "SCHEDULE" },
  { "ca_file" }, { "iam_endpoint" }, { "cts_endpoint" }, { "sts_endpoint" }, { "audit_log" },
  { "timeout" },
}

function M.run(_, ui)
  local found, message, err = profile.read(profile.path())
  if not found then return ui:fail(message, err) end
  local rows = {}
  for name, settings in pairs(found) do
    settings.name = name
    rows[#rows + 1] = settings
  end
  table.sort(rows, function(a, b) return a.name < b.name end)
  if #rows == 0 then
    ui:say("there are none in " .. profile.path())
    if ui.output == "table" then return exit.DONE end
  end
  return ui:table(rows, columns)
end

return M
