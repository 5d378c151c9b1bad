--- Many calls at once: `cce.map`.
-- @module cce.map
local errors = require "cce.error"
local host = require "cce.host"
local options = require "cce.base.options"
local protect = require "cce.host.protect"
local show = require "cce.text.show"

-- What there is to say about an item: its name, or what it prints as, on a line.
local function label_of(item)
  local name = type(item) == "table" and (rawget(item, "name") or rawget(item, "id")) or item
  local text = tostring(name):gsub("%c", " ")
  return text
end

local function value_text(value)
  if value == nil then return "" end
  local meta = getmetatable(value)
  if type(value) == "table" and not (type(meta) == "table" and meta.__tostring) then
    return "a table"
  end
  local text = tostring(value):gsub("\n.*", " …")
  return text
end

local Results = show.list("cce.results", { "ITEM", "", "RESULT" }, function(result)
  if result.ok then return { label_of(result.item), "ok", value_text(result.value) } end
  return { label_of(result.item), "FAILED", tostring(result.err) }
end, function(list)
  local failures = 0
  for _, result in ipairs(list) do failures = failures + (result.ok and 0 or 1) end
  return ("%d ok, %d failed"):format(#list - failures, failures)
end)

local schema = {
  concurrency = { type = "integer", min = 1, max = 100000, default = 20 },
  on_progress = { type = "callable" },
  results = { type = "table" },
}

local function new_result(fields)
  return setmetatable(fields, Results.Entry)
end

local function failed(item, message, err)
  return new_result { item = item, ok = false, message = message, err = err }
end

-- Whatever was raised or returned, `err` is an error of ours.
local function problem_of(item, message, cause)
  if errors.is(cause) then return failed(item, cause.message, cause) end
  local ok, text = protect.catch(tostring, message)
  if not ok then text = "a " .. type(message) .. " that cannot be shown" end
  return failed(item, text, errors.new("RAISED", text, { cause = cause }))
end

-- What a function returned or raised. Nothing or a value is fine; nil (or false) and a
-- message is a failure.
local function result_of(item, ok, value, message, err)
  if not ok then return problem_of(item, value, value) end
  if value or message == nil then return new_result { item = item, ok = true, value = value } end
  return problem_of(item, message, err)
end

--- Call a function for every item, several at a time.
--
-- In a plain script this drives the calls itself; inside nginx, or an event
-- loop that was told of by `cce.use_loop`, it yields. Calls of a client inside
-- `fn` wait without holding up the others; anything else that waits does hold
-- them up.
--
-- @tparam table items a list
-- @tparam function fn called with an item and its index. Returning nothing or
--   a value is success; returning `nil, message, err` or raising is that
--   item's failure and stops no other item.
-- @tparam[opt] table opts
-- @tparam[opt=20] int opts.concurrency how many at a time
-- @tparam[opt] function opts.on_progress called with done, total and failed
--   after each item; returning false cancels: those under way end, the rest
--   get CANCELLED. What it raises ends the same way, and is then raised on.
-- @tparam[opt] table opts.results emptied, then filled as the results come, so
--   that an interrupt, which is raised on at once, keeps them
-- @treturn {table,...} in the order of the items: `{item=, ok=, value=,
--   message=, err=}`; it prints as a table
-- @usage
-- local results = cce.map(clusters, function(cluster)
--   return client:rotate_credentials(cluster.id, { component = "all" })
-- end, { concurrency = 50 })
local function map(items, fn, opts)
  options.argument(items, "table", 1, "map", 3)
  options.argument(fn, "callable", 2, "map", 3)
  local checked, message, err = options.check(opts, schema, 3)
  if not checked then return nil, message, err end
  local driver = host.current()
  local can_wait, reason = driver.check()
  if not can_wait then return errors.fail("UNSUPPORTED", reason) end
  local results, count, done, failures = checked.results or {}, #items, 0, 0
  -- A result of an earlier run would pass for one of this.
  for key in pairs(results) do
    if type(key) == "number" then results[key] = nil end
  end
  driver.each(count, checked.concurrency, function(i) return fn(items[i], i) end,
    function(i, ...)
      results[i] = result_of(items[i], ...)
      done, failures = done + 1, failures + (results[i].ok and 0 or 1)
      return not checked.on_progress or checked.on_progress(done, count, failures) ~= false
    end)
  -- What was not begun, after on_progress returned false.
  for i = 1, count do
    if not results[i] then
      local problem = "cancelled before it began"
      results[i] = failed(items[i], problem, errors.new("CANCELLED", problem, {
        retryable = true, maybe_applied = false, attempts = 0,
      }))
    end
  end
  return getmetatable(results) and results or setmetatable(results, Results)
end

return map
