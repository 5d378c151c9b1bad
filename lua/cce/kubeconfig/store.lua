--- The file that kubeconfigs are merged into.
--
-- Internal to @{cce.kubeconfig}. The caller that opens a target holds its lock.
--
-- @module cce.kubeconfig.store
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local json = require "cce.base.json"
local merge = require "cce.kubeconfig.merge"
local patch = require "cce.kubeconfig.syntax.patch"
local read = require "cce.kubeconfig.read"
local yaml = require "cce.kubeconfig.syntax.yaml"

local M = {}

--- Writes a file that only its owner may read.
-- @tparam string path
-- @tparam string text
-- @tparam[opt] boolean is_trial try all of it and leave the file as it is
-- @treturn boolean true
-- @return nil, message, err
function M.write(path, text, is_trial)
  local ok, message, code = core.file.write(path, text, { trial = is_trial })
  if not ok then return errors.from_core(nil, message, code) end
  return true
end

local function refused(target, reason, code)
  return errors.fail(code or "UNSUPPORTED",
    ("cannot merge into '%s' without touching what is not ours: %s"):format(
      target.path, reason), {
      retryable = false,
      hint = ("Save to a file of its own, and set KUBECONFIG=%s:<that file>, so that kubectl"
        .. " sees both"):format(target.path),
    })
end

-- Whose file it is. kubectl would take any object for a kubeconfig without entries.
local function stranger(data)
  if data.kind == "Config" or next(data) == nil then return nil end
  for _, section in ipairs(read.section_order) do
    if data[section] ~= nil then return nil end
  end
  return "it is no kubeconfig: it has neither kind 'Config' nor clusters, users or contexts"
end

-- The text of what is there; false for nothing, or an empty file.
local function text_at(path)
  local info, message, code = core.file.stat(path)
  if info == nil then return errors.from_core(nil, message, code) end
  if not info then return false end
  local text
  text, message, code = core.file.read(path, { max = yaml.MAX_BYTES })
  if not text then return errors.from_core(nil, message, code) end
  return not text:find "^%s*$" and text
end

--- Whether a file of its own may take the place of what is there: nothing, an empty
-- file, or a kubeconfig.
-- @tparam string path
-- @treturn boolean true
-- @return nil, message, err
function M.check_replaceable(path)
  local text, message, err = text_at(path)
  if text == nil then return nil, message, err end
  if not text then return true end
  local file
  file, message = read.file(text)
  message = message or read.problem(file.data) or stranger(file.data)
  if not message and next(file.data) == nil and not text:find "^%s*{%s*}%s*$" then
    message = "it holds comments, and no kubeconfig"
  end
  if not message then return true end
  return errors.fail("FILE_ERROR", ("'%s' is not replaced: %s"):format(path, message), {
    retryable = false, hint = "Give another path; or remove the file, if nobody needs it" })
end

--- Reads the file to merge into.
-- @tparam string path
-- @tparam[opt="json"] string format of a file that is not there yet
-- @treturn table { path=, text=<in UTF-8>, found=<as it is>, data=, format= }; path and
--   format alone when there is no file, or an empty one
-- @return nil, message, err
function M.open(path, format)
  local target = { path = path, format = format or "json" }
  local text, message, err = text_at(path)
  if text == nil then return nil, message, err end
  if not text then return target end
  local file, code
  file, message, code = read.file(text)
  if code then return refused(target, message, code) end
  message = message or read.problem(file.data) or stranger(file.data)
  if message then
    return errors.fail("FILE_ERROR", ("cannot merge into '%s': %s"):format(path, message))
  end
  target.text, target.format, target.found = file.text, file.format, text
  target.data, target.original = file.data, file.data
  return target
end

-- One value that is no Base64, and kubectl reads nothing of the file.
local function check_readable(target)
  for _, section in ipairs(read.section_order) do
    for _, each in ipairs(read.entries(target.data, section)) do
      local problem, is_read = read.encoding_problem(section, each)
      if problem and not is_read then
        return errors.fail("FILE_ERROR", ("cannot merge into '%s': %s; so kubectl reads nothing "
          .. "of the file"):format(target.path, problem), {
            retryable = false, hint = "Mend that entry, or take it out" })
      end
    end
  end
  return true
end

--- Merges into the target's data; the file stays as it is until @{commit}.
-- @tparam table target
-- @tparam table data of a kubeconfig
-- @tparam ?table mark as of `cce.kubeconfig.merge`
-- @treturn boolean true
-- @return nil, message, err with the code CONFLICT
function M.add(target, data, mark)
  target.merging = target.merging or merge.begin(target.data)
  local ok, conflict = merge.add(target.merging, data, mark)
  if ok then
    target.data = target.merging.data
    return true
  end
  return errors.fail("CONFLICT", ("cannot merge into '%s': %s; give this one another name with "
    .. "the option name"):format(target.path, conflict))
end

--- Data as text of a format.
-- @tparam table data
-- @tparam string format "json" or "yaml"
-- @treturn string
-- @return nil, message, err
function M.encode(data, format)
  local text, message
  if format == "yaml" then
    text, message = yaml.encode(data)
  else
    text, message = json.encode(data, { pretty = true })
  end
  if not text then return errors.fail("INVALID_ARGUMENT", message) end
  return text
end

--- Writes the target's data to its file, the old one beside it as `<path>.bak`; one
-- without a value, comments alone, is not kept: the comments stay where they are.
-- @tparam table target
-- @tparam table opts `backup`: whether to keep the old one; `trial`: see @{write}
-- @treturn table { backup=<path or nil> }
-- @return nil, message, err
function M.commit(target, opts)
  local text, backup
  local ok, message, err = check_readable(target)
  if not ok then return nil, message, err end
  if target.text then
    text, message = patch.patch(target.text, target.original, target.data, target.format)
    if not text then return refused(target, message) end
  else
    text, message, err = M.encode(target.data, target.format)
    if not text then return nil, message, err end
  end
  if opts.backup and target.found and target.found ~= text and next(target.original) then
    backup = target.path .. ".bak"
    ok, message, err = M.check_replaceable(backup)
    if ok then ok, message, err = M.write(backup, target.found, opts.trial) end
    if not ok then return nil, message, err end
    -- A trial needs room for both files at once.
    if opts.trial then text = text .. target.found end
  end
  ok, message, err = M.write(target.path, text, opts.trial)
  if not ok then return nil, message, err end
  return { backup = backup }
end

return M
