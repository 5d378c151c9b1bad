--- The facts of a certificate, as `cce.certificate` and `kubeconfig:certificate`
-- return them.
--
-- Fields: `user_id`, `organizations`, `subject`, `issuer`, `serial`,
-- `not_before`, `not_after` (unix seconds), `sha256`, and `key_matches` where a
-- key was looked at.
-- @module cce.certificate
local show = require "cce.text.show"
local width = require "cce.text.width"

local M = {}

local Facts = { __name = "cce.certificate" }

-- The maker of the certificate chose the names in it.
local function clean(text)
  return width.clean_line(text, "none")
end

function Facts:__tostring()
  local line = ("certificate of user %s, issued by %s, serial %s, valid %s to %s"):format(
    clean(self.user_id), clean(self.issuer), clean(self.serial), show.time(self.not_before),
    show.time(self.not_after))
  if self.key_matches == nil then return line end
  return line .. (self.key_matches and ", its key matches" or ", its key DOES NOT MATCH")
end

--- Let what `core.certificate` returned print as a line; pass on a failure.
-- @param facts
-- @tparam string message
-- @tparam string code
-- @treturn[1] cce.certificate
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] string code
-- @local
function M.of(facts, message, code)
  if not facts then return nil, message, code end
  return setmetatable(facts, Facts)
end

return M
