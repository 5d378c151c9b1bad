--- `cce doctor`: what is wrong with the set-up.
-- @module cce.cli.command.tool.doctor
-- @local
local exit = require "cce.cli.exit"

local M = { name = "doctor",
  summary = "Check credentials, clock, region, project, network, TLS and permissions." }

function M.describe(parser)
  parser:epilog "It only reads. Ends with 1 when something is wrong."
end

function M.run(_, ui)
  local client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local report = client:doctor()
  local checks, failed = {}, {}
  for i, item in ipairs(report) do
    checks[i] = { name = item.name, ok = item.ok, message = item.message, hint = item.hint }
    if item.ok == false then failed[#failed + 1] = item.name end
  end
  local code = ui:show({ ok = report.ok, checks = checks }, report:text(ui:width()),
    table.concat(failed, "\n"))
  return code == exit.DONE and report:exit_code() or code
end

return M
