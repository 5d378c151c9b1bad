--- `cce log verify`: whether an audit log is whole.
-- @module cce.cli.command.log
-- @local
local convert = require "cce.cli.convert"
local core = require "cce.core"
local errors = require "cce.error"

local M = { name = "log", summary = "Check an audit log." }

function M.describe(parser)
  parser:command_target("action"):require_command(true)
  local verify = parser:command("verify", "Check its chain from the first line to the last.")
  verify:argument("path", "The audit log."):argname("FILE")
  verify:option("--head", "A head that was kept elsewhere."):argname("HASH")
  verify:option("--count", "How many lines there were then."):argname("N"):convert(convert.integer)
  verify:option("--key-file", "The HMAC key that it was written with: a file, mode 0600.")
    :argname("FILE")
  parser:epilog("Without --head it cannot be seen whether lines are missing at the end.")
end

-- The key as it stands in the file, without the line end that an editor adds.
local function key_of(path)
  if not path then return nil end
  local key, message, code = core.secret_from_private_file(path)
  if not key then return errors.from_core(nil, message, code) end
  return key
end

function M.run(args, ui)
  local key, message, err = key_of(args.key_file)
  if args.key_file and not key then return ui:fail(message, err) end
  local state
  state, message, err = require("cce.log.audit_log").verify(args.path,
    { head = args.head, count = args.count, key = key })
  if not state then return ui:fail(message, err) end
  return ui:show(state, ("%s: %d lines, unbroken; its head is %s"):format(args.path, state.count,
    state.head), state.head)
end

return M
