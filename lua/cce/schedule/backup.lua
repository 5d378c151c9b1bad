--- Moving a schedule from one store to another: JSON lines.
--
-- The first line names the format, the last one counts the entries between, so
-- that a file that was cut off is told from a whole one. Each other line is one
-- entry as it stands in the store.
-- @module cce.schedule.backup
-- @local
local core = require "cce.core"
local entries = require "cce.schedule.entry"
local errors = require "cce.error"
local json = require "cce.base.json"
local json_line = require "cce.base.json_line"
local show = require "cce.text.show"
local times = require "cce.base.times"

local M = {}

local FORMAT = 1
local PAGE = 200

-- How many of the lines that are wrong a message names.
local NAMED = 5

local function file_error(message, hint)
  return errors.fail("FILE_ERROR", message, { retryable = false, hint = hint })
end

-- ---- out ---------------------------------------------------------------------------

local function write_all(schedule, file)
  local header = json_line.encode({ schedule = FORMAT,
    exported = times.format(schedule.clock()) }, { "schedule" })
  local ok, message, code = file:append(header, false)
  if not ok then return errors.from_core(nil, message, code) end
  local now, count, after = schedule.clock(), 0, nil
  repeat
    local rows, reason, err = schedule.store:page { after = after, limit = PAGE }
    if not rows then return nil, reason, err end
    for _, row in ipairs(rows) do
      -- What cannot be read goes as what the runner would put in its place: foreign text
      -- could be several lines.
      local e, why = entries.read(row)
      local line = e and entries.write(e) or entries.quarantine(row, why, now)
      ok, message, code = file:append(line, false)
      if not ok then return errors.from_core(nil, message, code) end
    end
    count, after = count + #rows, rows[#rows] and rows[#rows].id
  until #rows < PAGE
  ok, message, code = file:append(assert(json.encode { count = count }), true)
  if not ok then return errors.from_core(nil, message, code) end
  return count
end

-- What is at the path is replaced only if it is an export, or empty.
local function check_destination(path)
  local ok, message, code = core.file.check(path)
  if not ok then return errors.from_core(nil, message, code) end
  local info = core.file.stat(path)
  if not info then return true end
  local file, err
  file, message, code = core.journal(path, "schedule export")
  if file then
    file:close()
    return true
  end
  file, message, err = errors.from_core(nil, message, code)
  err.retryable, err.hint = false, "Give another path, or remove that file"
  return file, message, err
end

--- Write all entries to a file of mode 0600, which is there whole or not at all.
-- @tparam cce.schedule schedule
-- @tparam string path
-- @treturn[1] number of entries
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.export(schedule, path)
  local ok, reason, err = check_destination(path)
  if not ok then return nil, reason, err end
  -- A link stays one: what it leads to is replaced.
  path = core.sys.realpath(path) or path
  local part = ("%s.%s.part"):format(path, json_line.new_id())
  local file, message, code = core.journal(part, "schedule export")
  if not file then return errors.from_core(nil, message, code) end
  local count
  ok, count, reason, err = pcall(write_all, schedule, file)
  file:close()
  if ok and count then
    local moved, why = os.rename(part, path)
    if moved then return count end
    count, reason, err = file_error(("cannot write '%s': %s"):format(path, why))
  end
  os.remove(part)
  if not ok then error(count, 0) end
  return count, reason, err
end

-- ---- in ----------------------------------------------------------------------------

-- It is read twice: no FIFO.
local function open(path)
  local ok, message, code = core.file.check(path)
  if not ok then return errors.from_core(nil, message, code) end
  local file, why = io.open(path, "rb")
  if file then return file end
  return file_error("cannot read " .. tostring(why))
end

-- Calls each(e, number, why) for every line between the first and the last; e is
-- nil for one that is wrong. Returns what the last line says, and what there was; -1 where
-- the last line is none.
local function each_entry(lines, each)
  local number, count, said = 1, 0, nil
  for line in lines do
    number = number + 1
    if said then return -1, count end
    local data = json.decode(line)
    said = type(data) == "table" and tonumber(data.count)
    if not said then
      count = count + 1
      local e, why = entries.parse(line)
      local go_on, message, err = each(e, number, why)
      if not go_on then return nil, message, err end
    end
  end
  return said or -1, count
end

-- One line that is wrong keeps all out: half an import would pass for a whole one.
local function check_file(path, file)
  local lines = json_line.lines(file)
  local header = lines()
  local data = json.decode(header)
  if type(data) ~= "table" or type(data.schedule) ~= "number" then
    return file_error(("'%s' is no export of a schedule"):format(path))
  elseif data.schedule > FORMAT then
    return errors.fail("UNSUPPORTED", ("'%s' was written by a newer version of this library")
      :format(path), { retryable = false, hint = "Import it with that version, or a newer one" })
  end
  local wrong, first = 0, {}
  local said, count = each_entry(lines, function(e, number, why)
    if not e then
      wrong = wrong + 1
      if wrong <= NAMED then first[wrong] = ("line %d: %s"):format(number, why) end
    end
    return true
  end)
  if wrong > 0 then
    return file_error(("'%s' has %s without an entry (%s)"):format(path,
      show.count(wrong, "line"), table.concat(first, "; ")), "Nothing was imported. Take out what"
      .. " is named, and lower the count in the last line")
  elseif said ~= count then
    return file_error(("'%s' is cut off, or was changed: its last line does not count its %d"
      .. " entries"):format(path, count), "Nothing was imported. Export once more")
  end
  return true
end

-- No runner here holds what a runner there held. What may have been sent is as if that
-- had failed.
local function unheld(e, now)
  if e.state == "claimed" then return assert(entries.released(e)) end
  if e.state ~= "sending" then return e end
  return assert(entries.retrying(e, now, errors.new("CANCELLED",
    "it was being sent when it was exported"), now))
end

-- A grant that meets a live one of the same principal and cluster comes in as a
-- plain revocation: it must not be lost, and the other one keeps its name.
local function insert(store, e)
  local revision, message, err = store:insert(e.id, entries.write(e))
  if revision then return "added" end
  if err.code ~= "CONFLICT" then return nil, message, err end
  if not err.holder then return "existing" end
  e.grant = nil
  return insert(store, e)
end

-- What `insert` would say.
local function look(store, e)
  local row, message, err = store:get(e.id)
  if row then return "existing" end
  if err.code == "NOT_FOUND" then return "added" end
  return nil, message, err
end

--- Put in the entries of a file; those whose id is there already are left alone.
-- @tparam cce.schedule schedule
-- @tparam string path
-- @tparam[opt=false] boolean dry_run only count them
-- @treturn[1] table `{added=, existing=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err FILE_ERROR: nothing was put in. After STORE_UNAVAILABLE some
--   may be in; the same call again puts in the rest
function M.import(schedule, path, dry_run)
  local file, message, err = open(path)
  if not file then return nil, message, err end
  local ok
  ok, message, err = check_file(path, file)
  if not ok then
    file:close()
    return nil, message, err
  end
  file:seek "set"
  local lines, counts = json_line.lines(file), { added = 0, existing = 0 }
  lines()
  local said, count
  said, count, err = each_entry(lines, function(e, number, why)
    if not e then return file_error(("line %d of '%s': %s"):format(number, path, why)) end
    local put = dry_run and look or insert
    local word, reason, problem = put(schedule.store, unheld(e, schedule.clock()))
    if not word then return nil, reason, problem end
    counts[word] = counts[word] + 1
    return true
  end)
  file:close()
  if not said then return nil, count, err end
  if said == count then return counts end
  return file_error(("'%s' was changed while it was read: %d of its entries were put in"):format(
    path, counts.added), "Export once more, and import that: what is there already stays as it is")
end

return M
