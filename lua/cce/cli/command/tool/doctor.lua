--- `cce doctor`: what is wrong with the set-up.
-- @module cce.cli.command.tool.doctor
-- @local
local doctor = require "cce.api.doctor"
local exit = require "cce.cli.exit"
local words = require "cce.cli.output.words"

local M = { name = "doctor",
  summary = "Check credentials, clock, region, project, network, TLS, IAM, CTS, STS, permissions." }

function M.describe(parser)
  parser:epilog "It only reads. Ends with 1 when something is wrong."
end

-- Where it is not known where CCE is, a client of an address that is none tells of the rest.
local function examine(ui)
  local client, message, err = ui:client()
  if client then return client:doctor() end
  if err.code ~= "NO_ENDPOINT" then return nil, message, err end
  client, message = ui:client { endpoint = "https://cce.invalid" }
  return client and doctor.without_endpoint(client, err), message, err
end

function M.run(_, ui)
  local report, message, err = examine(ui)
  if not report then return ui:fail(message, err) end
  local checks, failed = {}, {}
  for i, item in ipairs(report) do
    item.message = words.typed(item.message, M.name)
    item.hint = item.hint and words.typed(item.hint, M.name)
    checks[i] = { name = item.name, ok = item.ok, message = item.message, hint = item.hint }
    if item.ok == false then failed[#failed + 1] = item.name end
  end
  local code = ui:show({ ok = report.ok, checks = checks }, report:text(ui:width()),
    table.concat(failed, "\n"))
  if failed[1] == "credentials" or failed[1] == "region" then
    ui:say "cce configure asks for region and keys, and writes them down"
  end
  return code == exit.DONE and report:exit_code() or code
end

return M
