--- Whether the lines of an audit log are a chain, from the first to the last, also
-- where the log is a series of files.
-- @module cce.log.audit_check
-- @local
local errors = require "cce.error"
local json_line = require "cce.base.json_line"
local lines = require "cce.log.audit_line"

local M = {}

local function tampered(path, number, why)
  return errors.fail("TAMPERED", ("line %d of the audit log '%s' %s"):format(number, path, why), {
    retryable = false,
  })
end

local function fail(message, hint)
  return errors.fail("TAMPERED", message, { retryable = false, hint = hint })
end

-- What was kept elsewhere must be in the chain; later lines are fine.
local function note_known(state, opts)
  if opts.head == state.head and (not opts.count or opts.count == state.count) then
    state.found = true
  end
end

local function check_line(state, path, line, opts)
  local entry, hash = lines.open(line, opts.key)
  state.line = state.line + 1
  if not entry then return tampered(path, state.line, hash) end
  if state.line == 1 then
    -- The first line of a file may go on with the chain of another one.
    state.first, state.before, state.continues = entry.n, entry.previous, entry.continues
    if entry.previous ~= lines.FIRST then
      if not entry.continues then
        return tampered(path, 1, ("says that it is line %d: lines are missing or out of order")
          :format(entry.n))
      end
      state.count, state.head = entry.n - 1, entry.previous
      note_known(state, opts)
    end
  end
  if entry.n ~= state.count + 1 then
    return tampered(path, state.line, ("says that it is line %d: lines are missing or out of order")
      :format(entry.n))
  elseif entry.previous ~= state.head then
    return tampered(path, state.line, "does not follow from the line before it")
  end
  state.count, state.head = entry.n, hash
  note_known(state, opts)
  return true
end

local function check_file(path, opts)
  local file, reason, problem = json_line.open(path)
  if not file then return nil, reason, problem end
  local state = { path = path, line = 0, count = 0, head = lines.FIRST, before = lines.FIRST }
  note_known(state, opts)
  for line in json_line.lines(file) do
    local ok, message, err = check_line(state, path, line, opts)
    if not ok then
      file:close()
      return nil, message, err
    end
  end
  file:close()
  return state
end

-- ---- a series --------------------------------------------------------------------

-- By its head, the one that each follows from. Hashes lead round in no circle: there is a first.
local function first_of(states)
  local heads = {}
  for _, state in ipairs(states) do heads[state.head] = true end
  local first
  for _, state in ipairs(states) do
    if not heads[state.before] or state.before == lines.FIRST then
      if first then
        return fail(("the audit logs '%s' and '%s' follow from none of the others: lines are"
          .. " missing between them, or they are two logs"):format(first.path, state.path),
          "Give all files of one log")
      end
      first = state
    end
  end
  return first
end

local function in_order(states)
  local state, message, err = first_of(states)
  if not state then return nil, message, err end
  local after, ordered = {}, {}
  for _, each in ipairs(states) do
    if each ~= state then after[each.before] = each end
  end
  while state do
    ordered[#ordered + 1] = state
    state = after[state.head]
  end
  if #ordered == #states then return ordered end
  return fail "two of the audit logs follow from the same line: one of them was copied or changed"
end

--- Check every line of some files, and what was kept of them elsewhere.
-- @tparam {string,...} paths of one log, in any order
-- @tparam table opts head, count and key, as of `audit_log.verify`
-- @treturn[1] table as of `audit_log.verify`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err TAMPERED or FILE_ERROR
function M.files(paths, opts)
  local states = {}
  for i, path in ipairs(paths) do
    local state, message, err = check_file(path, opts)
    if not state then return nil, message, err end
    states[i] = state
  end

  -- A file without lines, as logrotate leaves it, follows from any.
  local with_lines = {}
  for _, state in ipairs(states) do
    if state.line > 0 then with_lines[#with_lines + 1] = state end
  end
  local ordered, message, err = in_order(#with_lines > 0 and with_lines or { states[1] })
  if not ordered then return nil, message, err end

  -- What is missing at the end only the head and the count that were kept tell.
  local first, last, found = ordered[1], ordered[#ordered], false
  for _, state in ipairs(ordered) do found = found or state.found end
  local name = #paths == 1 and ("the audit log '%s'"):format(paths[1]) or "the series of audit logs"
  if opts.count and last.count < opts.count then
    return fail(("%s has %d lines, but had %d: its end is missing"):format(name, last.count,
      opts.count))
  elseif opts.head and not found then
    return fail(("%s does not have the head that was kept: lines are missing, or it was replaced")
      :format(name), first.continues and ("The lines before are in '%s'; give that file, too")
      :format(first.continues))
  end
  return { count = last.count, head = last.head, first = first.continues and first.first,
    continues = first.continues }
end

return M
