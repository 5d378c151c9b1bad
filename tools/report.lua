-- How busted reports here: a line for each spec that did not pass, a table of
-- what was skipped and why, and one closing line. Each result also goes to the
-- file named by CCE_TEST_RESULTS as soon as it is known, so that a crash does
-- not lose what came before it, and cannot pass for a success; a line "begin"
-- before it tells which spec did not come to its end, a line "took" how many seconds
-- one took, a line "file" which files were read. A spec that passes without one
-- assertion has failed.

local base = require "busted.outputHandlers.base"
local busted = require "busted"
local luassert = require "luassert"
local namespace = require "luassert.namespaces"

local results_path = assert(os.getenv "CCE_TEST_RESULTS", "CCE_TEST_RESULTS is not set")
local results = assert(io.open(results_path, "a"))
results:setvbuf "line"

local function one_line(text)
  return (tostring(text):gsub("%s+", " "))
end

local function record(kind, name)
  results:write(kind, " ", one_line(name), "\n")
end

local function indent(text)
  return "    " .. tostring(text):gsub("\n", "\n    ")
end

local function describe(message)
  if type(message) == "string" then
    return message
  end
  if message == nil then
    return "(no message)"
  end
  local text = tostring(message)
  if text:find "^table: " then
    return require("pl.pretty").write(message)
  end
  return text
end

local function show_failure(failure)
  local trace = failure.element.trace or failure.trace or {}
  io.write("FAILED ", failure.name, "\n")
  io.write("    ", trace.short_src or "?", ":", trace.currentline or "?", "\n")
  io.write(indent(describe(failure.message)), "\n")
  if failure.isError and failure.trace and failure.trace.traceback then
    io.write(indent(failure.trace.traceback), "\n")
  end
  io.flush()
end

-- Without the place in the code that `pending` puts before it.
local function reason_of(pending)
  local message = pending and pending.message
  return message and " # " .. one_line(describe(message)):gsub("^%S+:%d+: ", "") or ""
end

-- ---- assertions are counted ----------------------------------------------

local assertions = 0

local function counted(call)
  return function(...)
    assertions = assertions + 1
    return call(...)
  end
end

-- Called after before_each: what is asserted there does not count.
local function watch(element)
  local run = element.run
  function element.run(...)
    assertions = 0
    run(...)
    if assertions == 0 then error("this spec made no assertion", 0) end
  end
end

-- ---- what busted tells ---------------------------------------------------

return function()
  local handler = base()
  for _, assertion in pairs(namespace.assertion) do
    assertion.callback = counted(assertion.callback)
  end
  -- `assert(value, message)`.
  local meta = getmetatable(luassert)
  meta.__call = counted(meta.__call)

  local function on_test_start(element)
    record("begin", handler.getFullName(element))
    -- `pending "name"` runs nothing.
    if element.descriptor == "it" then watch(element) end
    return nil, true
  end

  local function on_file_end(element)
    record("file", element.name)
    return nil, true
  end

  local function on_test_end(element, _, status)
    local name = handler.getFullName(element)
    record("took", ("%.2f %s"):format(element.duration, name))
    if status == "success" then
      record("ok", name)
    elseif status == "pending" then
      record("skip", name .. reason_of(handler.pendings[#handler.pendings]))
    else
      record("not ok", name)
      local list = status == "failure" and handler.failures or handler.errors
      show_failure(list[#list])
    end
    return nil, true
  end

  -- Errors outside of a spec: a file that does not load, a setup that fails.
  local function on_error(element)
    if element.descriptor ~= "it" then
      local failure = handler.errors[#handler.errors]
      record("not ok", failure.name)
      show_failure(failure)
    end
    return nil, true
  end

  local function on_suite_end()
    for _, pending in ipairs(handler.pendings) do
      io.write("skipped ", pending.name, reason_of(pending), "\n")
    end
    io.write(("Lua %s: %d passed, %d failed, %d skipped in %.1f s\n"):format(
      os.getenv "CCE_TEST_VERSION" or "?", handler.successesCount,
      handler.failuresCount + handler.errorsCount, handler.pendingsCount,
      handler.getDuration()))
    io.flush()
    record("end", "of the specs")
    return nil, true
  end

  busted.subscribe({ "test", "start" }, on_test_start)
  busted.subscribe({ "test", "end" }, on_test_end)
  busted.subscribe({ "file", "end" }, on_file_end)
  busted.subscribe({ "error" }, on_error)
  busted.subscribe({ "failure" }, on_error)
  busted.subscribe({ "suite", "end" }, on_suite_end)
  return handler
end
