--- `cce expiry`: who holds which certificate, until when.
-- @module cce.cli.command.certificate.expiry
-- @local
local convert = require "cce.cli.input.convert"
local cache = require "cce.exec.cache"
local exit = require "cce.cli.exit"
local paths = require "cce.kubeconfig.paths"
local show = require "cce.text.show"

local M = { name = "expiry", summary = "Show whose certificates end when, in kubeconfig files.",
  watchable = true }

function M.describe(parser)
  parser:argument("path", "Files, directories and patterns; - is standard input. None: those of"
    .. " KUBECONFIG, else ~/.kube/config."):args("*"):argname("PATH")
  parser:option("--within", "Only those that end within this time, such as 14d."):argname("TIME")
    :convert(convert.duration)
  parser:flag("--check", "Ask each cluster once whether it takes the certificate.")
  parser:epilog("Ends with 4 when a certificate has ended, ends within --within, or with --check is"
    .. " refused by its cluster, and with 1 when a file cannot be used. Without --check it asks no"
    .. " server; a cluster that gives no answer changes nothing.")
end

local function left(entry)
  if not entry.remaining then return nil end
  return entry.expired and "EXPIRED" or show.span(entry.remaining)
end

local columns = {
  { "not_after", "UNTIL", keep = true, time = true },
  { "remaining", "LEFT", keep = true, text = left },
  { "user_id", "USER" }, { "context", "CONTEXT", keep = true }, { "cluster" },
  { "key_matches", "KEY", text = function(entry)
    return entry.key_matches and "matches" or entry.key_matches == false and "DOES NOT MATCH"
      or entry.not_after and "no key" or nil
  end },
  { "check", "CHECK" },
  { "path", "FILE", prose = true, name = true },
  { "cluster_id" }, { "server" }, { "user" }, { "serial" }, { "not_before", time = true },
  { "expired" }, { "holder" }, { "kept" }, { "says" }, { "message" },
}

function M.run(args, ui)
  local files, looked_for = {}, nil
  for i, path in ipairs(args.path) do files[i] = path == "-" and "/dev/stdin" or path end
  if #files == 0 then files, looked_for = paths.default() end
  if #files == 0 then
    return ui:fail("there is no kubeconfig: " .. looked_for)
  end
  local entries = require("cce.expiry")(files, { check = args.check, kept = cache.entries,
    together = looked_for ~= nil })
  local rows, broken, code = {}, {}, exit.DONE
  for _, entry in ipairs(entries) do
    local is_due = entry.remaining and entry.remaining <= (args.within or 0)
      or entry.check == "refused" or entry.check == "untrusted"
    if is_due then code = exit.OVERDUE end
    if entry.err then
      broken[#broken + 1] = entry
    elseif is_due or not args.within then
      rows[#rows + 1] = entry
    end
  end
  if #rows > 0 or ui.output ~= "table" then
    ui:table(rows, columns)
  elseif #broken == 0 then
    ui:say("no certificate ends in that time")
  end
  for _, entry in ipairs(broken) do
    ui:fail(entry.message, entry.err)
    code = exit.FAILED
  end
  return code
end

return M
