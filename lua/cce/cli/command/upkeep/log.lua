--- `cce log verify`: whether an audit log is whole.
-- @module cce.cli.command.upkeep.log
-- @local
local convert = require "cce.cli.input.convert"
local core = require "cce.core"
local errors = require "cce.error"
local show = require "cce.text.show"

local M = { name = "log", summary = "Check an audit log." }

function M.describe(parser)
  parser:command_target("action"):require_command(true)
  local verify = parser:command("verify", "Check its chain from the first line to the last.")
  verify:argument("paths", "The audit log; of one that was rotated all files, in any order.")
    :argname("FILE"):args("+")
  verify:option("--head", "A head that was kept elsewhere."):argname("HASH")
  verify:option("--count", "How many lines there were then."):argname("N"):convert(convert.integer)
  verify:option("--key-file", "The HMAC key that it was written with: a file, mode 0600.")
    :argname("FILE")
  parser:epilog("Without --head it cannot be seen whether lines are missing at the end.")
end

function M.run(args, ui)
  local key
  if args.key_file then
    -- As it stands in the file, without the line end that an editor adds.
    local problem, code
    key, problem, code = core.secret_from_private_file(args.key_file)
    if not key then return ui:fail(select(2, errors.from_core(nil, problem, code))) end
  end
  local state, message, err = require("cce.log.audit_log").verify(args.paths,
    { head = args.head, count = args.count, key = key })
  if not state then return ui:fail(message, err) end
  local lines = state.continues and ("lines %d to %d"):format(state.first, state.count)
    or show.count(state.count, "line")
  local text = ("%s: %s, unbroken; its head is %s"):format(table.concat(args.paths, ", "), lines,
    state.head)
  if state.continues then
    text = ("%s\nThe lines before were in %s"):format(text, state.continues)
  end
  return ui:show(state, text, state.head)
end

return M
