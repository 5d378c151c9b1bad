--- `cce credential`: a certificate for kubectl, by its protocol for such commands.
-- @module cce.cli.command.certificate.credential
-- @local
local convert = require "cce.cli.input.convert"
local exec = require "cce.exec"
local exit = require "cce.cli.exit"

local M = { name = "credential",
  summary = "Give kubectl a certificate: obtained, kept, renewed before its end.", one_form = true }

function M.describe(parser)
  parser:option("--cluster", "The id of the cluster."):argname("ID"):count(1)
  parser:option("--days", "How long a certificate lives: 1 to 1827 days, or max.")
    :argname("DAYS"):default("1"):convert(convert.days)
  parser:option("--min-remaining", "Renew when less is left, such as 8h. By default a third of"
    .. " the lifetime, a week at most."):argname("TIME"):convert(convert.duration)
  parser:option("--api-version", "Version of kubectl's protocol where KUBERNETES_EXEC_INFO is not"
    .. " set: v1 or v1beta1."):choices({ "v1", "v1beta1" }):argname("VERSION")
  parser:epilog("kubectl starts it, from a kubeconfig that `cce obtain --exec` wrote. What it"
    .. " prints holds a private key.\nCertificates are kept in $XDG_CACHE_HOME/cce/credentials,"
    .. " else ~/.cache, mode 0600; cce revoke and cce rotate on this machine drop them;"
    .. " asked again within a minute, it asks the cluster whether they still work.")
end

function M.run(args, ui)
  local version, message, err = exec.request(os.getenv "KUBERNETES_EXEC_INFO",
    args.api_version)
  if not version then return ui:fail(message, err) end
  local client
  client, message, err = ui:client()
  if not client then return ui:fail(message, err) end
  local credential
  credential, message, err = exec.credential(client, args.cluster, {
    duration = args.days, min_remaining = args.min_remaining,
    on_warning = function(text) ui:warn(text) end,
  })
  if not credential then return ui:fail(message, err) end
  ui:print(exec.answer(version, credential))
  return exit.DONE
end

return M
