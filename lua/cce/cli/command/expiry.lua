--- `cce expiry`: who holds which certificate, until when.
-- @module cce.cli.command.expiry
-- @local
local convert = require "cce.cli.convert"
local exit = require "cce.cli.exit"
local show = require "cce.text.show"
local times = require "cce.base.times"

local M = { name = "expiry", summary = "Show whose certificates end when, in kubeconfig files.",
  watchable = true }

function M.describe(parser)
  parser:argument("path", "Files, directories and patterns; by default KUBECONFIG or"
    .. " ~/.kube/config."):args("*"):argname("PATH")
  parser:option("--within", "Only those that end within this time, such as 14d."):argname("TIME")
    :convert(convert.duration)
  parser:epilog("Ends with 4 when a certificate has ended or ends within --within, and with 1"
    .. " when a file cannot be used. It asks no server.")
end

local function default_paths()
  local paths = {}
  for path in (os.getenv "KUBECONFIG" or ""):gmatch "[^:]+" do paths[#paths + 1] = path end
  if #paths == 0 then paths[1] = (os.getenv "HOME" or ".") .. "/.kube/config" end
  return paths
end

local function left(entry)
  return entry.expired and "EXPIRED" or show.span(entry.remaining)
end

local columns = {
  { "not_after", "UNTIL", keep = true, text = function(entry)
    return times.format(entry.not_after)
  end },
  { "remaining", "LEFT", keep = true, text = left },
  { "user_id", "USER" }, { "context", "CONTEXT", keep = true }, { "cluster", "CLUSTER" },
  { "key_matches", "KEY", text = function(entry)
    return entry.key_matches and "matches" or entry.key_matches == false and "DOES NOT MATCH"
      or "no key"
  end },
  { "path", "FILE", name = true },
  { "cluster_id" }, { "server" }, { "user" }, { "serial" }, { "not_before" }, { "expired" },
}

-- Those to show, those that are due, and those that cannot be used.
local function sort_out(entries, within)
  local rows, due, broken = {}, 0, {}
  for _, entry in ipairs(entries) do
    local is_due = entry.remaining and entry.remaining <= (within or 0)
    if is_due then due = due + 1 end
    if entry.err then
      broken[#broken + 1] = entry
    elseif is_due or not within then
      rows[#rows + 1] = entry
    end
  end
  return rows, due, broken
end

function M.run(args, ui)
  local paths = #args.path > 0 and args.path or default_paths()
  local rows, due, broken = sort_out(require("cce.expiry")(paths), args.within)
  if #rows > 0 or ui.output ~= "table" then
    ui:table(rows, columns)
  elseif #broken == 0 then
    ui:say("no certificate ends in that time")
  end
  local code = due > 0 and exit.OVERDUE or exit.DONE
  for _, entry in ipairs(broken) do
    ui:fail(entry.message, entry.err)
    code = exit.FAILED
  end
  return code
end

return M
