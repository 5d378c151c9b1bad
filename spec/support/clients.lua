--- Clients of the simulator for specs: they sleep never, roll no dice, and note what they did.
--
--   local client = clients.new(sim, { timeout = 1 })   -- any option of cce.new; `key`: whose keys
--   client.slept                                        -- seconds of every sleep asked for
--   client.events                                       -- what on_event saw
--   `stranger=true`: it has seen no list of the clusters yet
--   local err = clients.fails("TIMEOUT", client:list_clusters())
local assert = require "luassert"
local cce = require "cce"
local errors = require "cce.error"
local printed = require "spec.support.printed"
local simulator = require "spec.support.sim"
local sys = require("cce.core").sys

local M = {}

local function options_for(sim, options)
  local key = options.key or simulator.admin
  local all = {
    endpoint = sim.env.CCE_ENDPOINT,
    ca_file = sim.env.CCE_CA_FILE,
    project_id = sim.project_id,
    credentials = not options.token and { ak = key.ak, sk = key.sk } or nil,
    proxy = false,
  }
  for name, value in pairs(options) do
    if name ~= "key" and name ~= "stranger" then all[name] = value end
  end
  -- Time is one, unless a spec says otherwise.
  all.monotonic = all.monotonic or all.clock
  -- To be looked up.
  if all.project_id == false then all.project_id = nil end
  return all
end

--- Makes nothing that the client does take time or depend on luck.
function M.tame(client)
  client.slept = {}
  client.sleep = function(seconds)
    client.slept[#client.slept + 1] = seconds
  end
  client.random = function() return 0.5 end
  return client
end

function M.new(sim, options)
  options = options or {}
  local events, on_event = {}, options.on_event
  local all = options_for(sim, options)
  all.on_event = function(event)
    events[#events + 1] = printed.add(event)
    if on_event then on_event(event) end
  end
  local client = M.tame(assert(cce.new(all)))
  client.events = events
  -- Which are not Autopilot's, so that a call is one request.
  for _, each in ipairs(options.stranger and {} or sim.clusters) do
    client.autopilot[each.id] = false
  end
  printed.shown(client)
  return client
end

--- A time-out in which a request surely leaves, as busy as the machine is now: several times
-- what a call on a new connection takes. Resets the simulator. Seconds.
function M.time_to_send(sim)
  local slowest = 0.01
  for _ = 1, 3 do
    local client = M.new(sim)
    local start = sys.monotonic()
    assert(client:list_clusters())
    slowest = math.max(slowest, sys.monotonic() - start)
    client:close()
  end
  sim:reset()
  return math.ceil(60 * slowest) / 10
end

local FIELDS = {
  code = "string", message = "string", operation = "string", status = "number",
  api_code = "string", error_code = "string", request_id = "string", retryable = "boolean",
  maybe_applied = "boolean", attempts = "number", hint = "string", retry_after = "number",
  job = "table",
}

-- One line, one sentence, nothing that Lua put in by mistake.
local function check_sentence(text)
  assert.is_nil(text:find("[%c\127]"), text)
  -- The word: a temporary file may have it in its name.
  assert.is_nil(text:find "%f[%w]nil%f[%W]", text)
  assert.is_nil(text:find("table: ", 1, true), text)
  assert.is_nil(text:find("[.!%s]$"), text)
end

--- Checks the three values of a failure in every respect that all have in common.
-- @treturn table the error
function M.fails(code, result, message, err)
  assert.is_nil(result)
  assert.is_true(errors.is(err), tostring(message))
  assert.equal(code, err.code, message)
  assert.equal(message, err.message)
  assert.equal(message, tostring(err):sub(1, #message))
  for name, value in pairs(err) do
    assert.equal(FIELDS[name], type(value), name)
  end
  check_sentence(message)
  if err.hint then check_sentence(err.hint) end
  printed.add(message, err)
  return err
end

--- Checks that a call raises, at the line of the call, and what it says.
-- @tparam string pattern
-- @tparam function call
-- @treturn string the message
function M.raises(pattern, call)
  local ok, message = pcall(call)
  assert.is_false(ok, "nothing was raised")
  assert.matches(pattern, message)
  local here = debug.getinfo(call, "S")
  local file, line = message:match("^(.-):(%d+): ")
  assert.equal(here.short_src, file, message)
  line = tonumber(line)
  assert.is_true(line >= here.linedefined and line <= here.lastlinedefined, message)
  return printed.add(message)
end

return M
