--- What the calls beside the certificate endpoints have in common: requests to
-- CCE's nodes, to IAM and to CTS that are no row of `core.operations`.
-- @module cce.api.service_call
-- @local
local call = require "cce.api.call"
local options = require "cce.base.options"
local values = require "cce.base.values"

local M = {}

--- A rule for a name, as IAM and CTS know them.
M.name_rule = { type = "string", non_empty = true }

--- A rule for a moment.
M.time_rule = { type = "number", min = 0, max = 253402300799, unit = "as unix time" }

--- Raise unless a client is open; check the options of one of its methods.
-- @tparam cce.client client
-- @tparam string name of the method
-- @tparam ?table given
-- @tparam table schema of `cce.base.options`
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.check(client, name, given, schema)
  if type(client) ~= "table" or not client.config then
    error(("bad argument #1 to '%s' (cce.client expected, got %s); call it with a colon"):format(
      name, type(client)), 3)
  elseif client.closed then
    error("the client is closed", 3)
  end
  local checked, message, err = options.check(given, schema, 3)
  if checked then return checked end
  err.message, err.operation = name .. ": " .. message, name
  return nil, err.message, err
end

--- Make a request and decode the object that it brings.
-- @tparam cce.client client
-- @tparam table request `{operation=, service=, method=, path=, query=, body=,
--   mutating=, action=}`
-- @tparam[opt] table ids see `call.send`
-- @treturn[1] table
-- @treturn[1] nil
-- @treturn[1] nil
-- @treturn[1] table the response
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.fetch(client, request, ids)
  ids = ids or {}
  local response, message, err = call.send(client, request, ids)
  if not response then return nil, message, err end
  local body
  body, message, err = call.decode(request, ids, response)
  if not body then return nil, message, err end
  return body, nil, nil, response
end

--- Make a request and take a list out of the object that it brings.
-- @tparam cce.client client
-- @tparam table request
-- @tparam string field where the list is
-- @tparam[opt] table ids
-- @tparam[opt] function read see `call.list`; by default an entry is an object as it came
-- @treturn[1] table
-- @treturn[1] nil
-- @treturn[1] nil
-- @treturn[1] table the whole object
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.fetch_list(client, request, field, ids, read)
  local list
  local body, message, err, response = M.fetch(client, request, ids)
  if not body then return nil, message, err end
  list, message, err = call.list(request, ids or {}, response, body, field, read or values.object)
  return list, message, err, body
end

--- Say what an error was about.
-- @tparam string what
-- @tparam table err
-- @treturn nil
-- @treturn string message
-- @treturn table err
function M.about(what, err)
  err.message = what .. ": " .. err.message
  return nil, err.message, err
end

return M
