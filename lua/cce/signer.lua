--- AK/SK signatures without any I/O: `cce.signer`.
--
-- The work is done in C; this adds the error tables of the Lua layer.
-- @classmod cce.signer
local core = require "cce.core"
local errors = require "cce.error"

local M = {}

local Signer = {}
Signer.__index = Signer
Signer.__name = "cce.signer"

--- Sign a request.
-- @tparam table spec
-- @tparam string spec.method
-- @tparam string spec.host with the port, unless it is the scheme's own
-- @tparam[opt="/"] string spec.path raw (decoded); it is encoded once
-- @tparam[opt] table spec.query raw: a list of `{name, value}`, or a table of
--   values by name
-- @tparam[opt] table spec.headers strings by name
-- @tparam[opt=""] string spec.body
-- @tparam[opt] string|number spec.date "20260102T030405Z" or unix time; now
--   when left out
-- @tparam[opt] {string,...} spec.signed_headers exactly these are signed; else
--   all given but User-Agent, and host, x-sdk-date and x-security-token
-- @treturn[1] table the headers to send: those given, Host, X-Sdk-Date,
--   X-Security-Token (if any) and Authorization
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code INVALID_ARGUMENT
-- @usage
-- local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
-- local headers = assert(signer:sign {
--   method = "GET", host = "example.com", path = "/", date = "20260102T030405Z",
-- })
-- print(headers.Authorization)
function Signer:sign(spec)
  local headers, message, code = self.core:sign(spec)
  if headers then return headers end
  return errors.from_core(nil, message, code)
end

local Prepared = {}
Prepared.__index = Prepared
Prepared.__name = "cce.prepared"

--- Prepare a request of which only a part changes: the rest is read, checked and sorted once.
-- @tparam table spec as for `sign`; `path`, `query`, `body` and `date` may be left to
--   `prepared:sign`. `path` may have places for ids: `/clusters/{cluster_id}/clustercert`. A path
--   with other braces is left to `prepared:sign`
-- @treturn[1] cce.prepared with the methods `sign(changes)` and `close()`. `changes` may have
--   `path`, `query`, `body` and `date`, which win over those prepared (a date that was prepared
--   stays), and a string for each place of the path. It returns what `signer:sign` of the whole
--   returns
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code INVALID_ARGUMENT
-- @usage
-- local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
-- local prepared = assert(signer:prepare {
--   method = "POST", host = "example.com", path = "/clusters/{cluster_id}/clustercert",
--   headers = { ["Content-Type"] = "application/json" },
-- })
-- local headers = assert(prepared:sign { cluster_id = "cluster-1", body = '{"duration":30}' })
-- print(headers.Authorization)
function Signer:prepare(spec)
  local prepared, message, code = self.core:prepare(spec)
  if not prepared then return errors.from_core(nil, message, code) end
  -- What is looked up for each signature costs a twentieth of it.
  local sign = prepared.sign
  return setmetatable({
    core = prepared,
    sign = function(_, changes)
      local headers, reason, status = sign(prepared, changes)
      if headers then return headers end
      return errors.from_core(nil, reason, status)
    end,
  }, Prepared)
end

function Prepared:close()
  self.core:close()
end

Prepared.__close = Prepared.close

function Prepared:__tostring()
  return tostring(self.core)
end

--- Show how a request is signed, stage by stage.
-- @tparam table spec as for `sign`
-- @treturn[1] table `{canonical_request=, string_to_sign=, signature=,
--   authorization=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
-- print(assert(signer:explain { method = "GET", host = "example.com", path = "/" }).string_to_sign)
function Signer:explain(spec)
  local stages, message, code = self.core:explain(spec)
  if stages then return stages end
  return errors.from_core(nil, message, code)
end

--- Wipe the keys. Later calls raise.
-- @usage
-- local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
-- signer:close()
function Signer:close()
  self.core:close()
end

Signer.__close = Signer.close

function Signer:__tostring()
  return tostring(self.core)
end

--- Make a signer: see `cce.signer`.
-- @tparam table opts
-- @tparam[opt=1] int level whom a raised error points at
-- @treturn[1] cce.signer
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
-- @local
function M.new(opts, level)
  local signer, message, code = errors.raise_at((level or 1) + 1, core.signer, opts)
  if not signer then return errors.from_core(nil, message, code) end
  return setmetatable({ core = signer }, Signer)
end

return M
