--- Where etcd is, who we are there, and whether that is safe to use: beyond this
-- machine it takes TLS, and a client certificate or a user and a password.
-- @module cce.schedule.etcd.address
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local values = require "cce.base.values"

local M = {}

local FORM = "etcd:<url>[,<url>...]/<prefix>"

local function refuse(message, hint)
  return errors.fail("INVALID_ARGUMENT", message, { retryable = false, hint = hint })
end

-- A part that is not shown may hold a password.
local function bad_prefix()
  return refuse(("the place of a schedule is %s: the prefix is letters, digits and ._-~, in parts"
    .. " between slashes"):format(FORM), "For example etcd:http://127.0.0.1:2379/cce")
end

local function read_endpoints(text)
  local endpoints, prefix = {}, nil
  if text:find "%c" then return bad_prefix() end
  -- A comma in a password would end an address, and show what stands before it.
  if text:find("@", 1, true) then
    return refuse "an address of etcd must not hold a user name or password: they are options"
  end
  for url in (text .. ","):gmatch "([^,]*)," do
    local host, path, is_here = core.endpoint(url)
    if not host then return refuse("the place of a schedule is " .. FORM .. ": " .. path) end
    if prefix and prefix ~= "" then return bad_prefix() end
    local origin = url:match "^%a+://[^/]+"
    endpoints[#endpoints + 1] = { url = origin, host = host, is_here = is_here,
      tls = values.lower(origin):match "^https:" ~= nil }
    prefix = path
  end
  prefix = prefix:sub(2)
  if prefix == "" or prefix:find "//" then return bad_prefix() end
  return endpoints, prefix
end

-- ---- who we are ------------------------------------------------------------------

local function check_transport(endpoints, opts)
  for _, endpoint in ipairs(endpoints) do
    if not endpoint.tls and opts.cert then
      return refuse(("etcd at %s: a client certificate needs https"):format(endpoint.host))
    elseif not endpoint.is_here and not opts.cert and not opts.username then
      return refuse(("etcd at %s is another machine, and nothing says who we are"):format(
        endpoint.host), "Give cert and key (a client certificate), or username and password."
        .. " Whoever can write there decides what is revoked")
    end
  end
  return true
end

--- Read and check a place.
-- @tparam string text what follows "etcd:"
-- @tparam table opts `ca_file`, `cert`, `key`, `username`, `password`
-- @treturn[1] table `{endpoints = {{url=, host=}, …}, prefix=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(text, opts)
  local endpoints, prefix, err = read_endpoints(text)
  if not endpoints then return nil, prefix, err end
  if (opts.cert == nil) ~= (opts.key == nil) then
    return refuse "a client certificate needs both cert and key"
  elseif (opts.username == nil) ~= (opts.password == nil) then
    return refuse "a user of etcd needs both username and password"
  end
  local ok, message
  ok, message, err = check_transport(endpoints, opts)
  if not ok then return nil, message, err end
  return { endpoints = endpoints, prefix = prefix }
end

return M
