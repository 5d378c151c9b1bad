--- `cce who`: whose a kubeconfig or a certificate is, and whether it still works.
-- @module cce.cli.command.certificate.who
-- @local
local chosen = require "cce.cli.input.chosen"
local exit = require "cce.cli.exit"
local paths = require "cce.kubeconfig.paths"
local who = require "cce.cli.who"

local M = { name = "who",
  summary = "Say whose a kubeconfig or PEM is, for which cluster, and until when." }

function M.describe(parser)
  parser:argument("source", "Kubeconfigs and PEM files; - is standard input. None: those of"
    .. " KUBECONFIG, else ~/.kube/config."):args("*"):argname("FILE")
  parser:flag("--check", "Ask each cluster whether the certificate still works.")
  parser:flag("--resolve", "Look up names in IAM, when the credentials may.")
  parser:epilog("With --check it ends with 0 when all are accepted (HTTP 200, or 403: known, but"
    .. " without rights), 1 when one is refused, expired or cannot be read, 2 when one cannot be"
    .. " asked. Contexts without a certificate (a token, another command) do not count.")
end

local keys = { [true] = "matches", [false] = "DOES NOT MATCH" }

-- Names have columns of their own when they were looked up.
local function columns_of(with_names)
  return {
    { "context", "CONTEXT", keep = true, name = true },
    { "user_name", with_names and "USER" or nil, keep = true },
    { "user_id", with_names and "USER ID" or "USER" },
    { "cluster_name", with_names and "CLUSTER" or nil, keep = true },
    { "cluster_id", with_names and "CLUSTER ID" or "CLUSTER", text = function(row)
      return row.cluster_id or row.server
    end },
    { "not_after", "UNTIL", keep = true, time = true },
    { "key_matches", "KEY", text = function(row)
      return keys[row.key_matches] or row.not_after and "none" or nil
    end },
    { "says", "STATE", text = who.text, prose = true },
    { "source" }, { "user" }, { "cluster" }, { "server" }, { "organizations" },
    { "serial" }, { "not_before", time = true }, { "remaining" }, { "expired" },
    { "holder" }, { "kept" },
    { "check" }, { "state" }, { "message" }, { "current" },
  }
end

local FINE = { works = true, ["no rights"] = true }
local OPEN = { unreachable = true, unclear = true, ["not asked"] = true, ["not kept"] = true }

local function code_of(row)
  -- A token, or another command, is nothing that this could judge.
  if row.err and row.err.code == "UNSUPPORTED" then return exit.DONE end
  local is_bad = row.message or row.expired or row.key_matches == false
  if is_bad or row.check and not FINE[row.check] and not OPEN[row.check] then return exit.FAILED end
  return OPEN[row.check] and exit.UNCERTAIN or exit.DONE
end

-- What failed for sure beats what is not known.
local function exit_of(rows)
  local worst = exit.DONE
  for _, row in ipairs(rows) do
    local code = code_of(row)
    if code == exit.FAILED then return code end
    worst = math.max(worst, code)
  end
  return worst
end

function M.run(args, ui)
  local sources, looked_for = args.source, nil
  if #sources == 0 then sources, looked_for = paths.default() end
  if #sources == 0 then return ui:fail("there is no kubeconfig: " .. looked_for) end
  -- Names are a service: without them all else still holds.
  local client, message
  if args.resolve then client, message = ui:client() end
  if message then ui:say("names were not looked up: " .. message) end
  local rows = who.look(sources, { client = client, check = args.check,
    stdin = chosen.standard_input, together = looked_for ~= nil })
  local code = ui:table(rows, columns_of(client ~= nil))
  return code == exit.DONE and exit_of(rows) or code
end

return M
