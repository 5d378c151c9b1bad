--- Whether the lines of an audit log are a chain, from the first to the last.
-- @module cce.log.audit_check
-- @local
local errors = require "cce.error"
local lines = require "cce.log.audit_line"

local M = {}

local function tampered(path, number, why)
  return errors.fail("TAMPERED", ("line %d of the audit log '%s' %s"):format(number, path, why), {
    retryable = false,
  })
end

local function check_line(state, path, line, key)
  local number = state.count + 1
  local entry, hash = lines.open(line, key)
  if not entry then return tampered(path, number, hash) end
  if entry.n ~= number then
    return tampered(path, number, ("says that it is line %d: lines are missing or out of order")
      :format(entry.n))
  elseif entry.previous ~= state.head then
    return tampered(path, number, "does not follow from the line before it")
  end
  state.count, state.head = number, hash
  return true
end

-- What was kept elsewhere must be in the chain; later lines are fine.
local function note_known(state, opts)
  if opts.head == state.head and (not opts.count or opts.count == state.count) then
    state.found = true
  end
end

local function check_kept(state, path, opts)
  if opts.count and state.count < opts.count then
    return errors.fail("TAMPERED", ("the audit log '%s' has %d lines, but had %d: its end is"
      .. " missing"):format(path, state.count, opts.count), { retryable = false })
  elseif opts.head and not state.found then
    return errors.fail("TAMPERED", ("the audit log '%s' does not have the head that was kept: lines"
      .. " are missing, or it was replaced"):format(path), { retryable = false })
  end
  return { count = state.count, head = state.head }
end

--- Check every line of a file, and what was kept of it elsewhere.
-- @tparam string path for messages
-- @param file opened to be read
-- @tparam table opts head, count and key, as of `audit_log.verify`
-- @treturn[1] table `{count=, head=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err TAMPERED
function M.file(path, file, opts)
  local state = { count = 0, head = lines.FIRST }
  note_known(state, opts)
  for line in file:lines() do
    local ok, message, err = check_line(state, path, line, opts.key)
    if not ok then return nil, message, err end
    note_known(state, opts)
  end
  return check_kept(state, path, opts)
end

return M
