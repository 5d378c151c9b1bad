--- What the library calls by its Lua names, as it is typed: hints name options.
-- @module cce.cli.words
-- @local
local M = {}

local OPTIONS = { "accept_token_loss", "allow_self", "ca_file", "canary", "deleted_since",
  "endpoint", "max_failures", "partial", "region", "repair", "retry_failed", "run", "shared",
  "timeout", "unknown_ok", "unless_rotated_within", "verify" }

-- The longer ones first.
local TEXTS = {
  { 'client:wait_job%("([^"]+)"%)', "cce jobs wait %1" },
  { 'schedule:cancel%("([^"]+)"%)', "cce schedule cancel %1" },
  { 'schedule:hasten%("([^"]+)"%)', "cce schedule hasten %1" },
  { 'schedule:accept%("([^"]+)"%)', "cce schedule accept %1" },
  { 'schedule:retry%("([^"]+)", {retry_failed=true}%)', "cce schedule retry %1 --retry-failed" },
  { "schedule:run, or `cce schedule run`", "cce schedule run" },
  { "show_job or wait_job", "cce jobs show or cce jobs wait" },
  { "client:list_clusters%(%)", "cce clusters" },
  { "client:show_cluster%(id%)%.status", "cce clusters" },
  { "merge with kubeconfig:save%(path, { merge = true, name = %.%.%. }%)", "use --merge-into" },
  { "project_id=", "project=" }, { "expire_at", "--until" }, { "timeout=, connect_timeout= or"
    .. " deadline=", "timeout=" },
  { "certificate_expiration_time", "--expiration-hours" },
}

local function rename(text, name)
  local typed = "--" .. name:gsub("_", "-")
  text = text:gsub("%f[%w_]" .. name .. '="([^"]*)"', typed .. " %1")
  text = text:gsub("%f[%w_]" .. name .. "=true%f[^%w]", typed)
  text = text:gsub("%f[%w_]" .. name .. "=(%d)", typed .. " %1")
  return (text:gsub("%f[%w_]" .. name .. "=", typed))
end

--- A text of the library for somebody who types.
-- @tparam string text
-- @treturn string
-- @usage
-- local words = require "cce.cli.words"
-- assert(words.typed "Give allow_self=true" == "Give --allow-self")
function M.typed(text)
  for _, each in ipairs(TEXTS) do text = text:gsub(each[1], each[2]) end
  for _, name in ipairs(OPTIONS) do text = rename(text, name) end
  return (rename(text, "project"))
end

return M
