--- A circuit breaker for each access key, shared by all clients of the process.
--
-- More than five wrong signatures lock an access key for five minutes, for every
-- program that uses it. So a key that has not succeeded yet in this process has at
-- most two requests that may be refused: in flight, or refused already. One that is
-- refused twice in a row sends nothing more but one request a minute, until one
-- succeeds. Only the refusals of the gateway and of IAM themselves count: see
-- `responses.verdict_on_key`.
--
-- A gate is the state of one key:
--
-- * `proven`: it succeeded, and was not refused since
-- * `refusals`: in a row
-- * `in_flight`: requests that hold it; `entered_at`: when the last of them began
-- * `probe_at`: when the next one may try it; seconds of the monotonic clock
--
-- The command and the workflows of one user also share the refusals by a file: see
-- `cce.base.user_state`.
-- @module cce.credentials.breaker
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local host = require "cce.host"
local user_state = require "cce.base.user_state"

local M = {}

local MOST_REFUSALS = 2
local PROBE_PAUSE = 60

-- So long nothing is heard of those in flight, and they are taken for lost: nginx
-- drops the coroutine of a request whose client hangs up. Seconds.
local LOST = 60
local FIRST_LOOK, LONGEST_LOOK = 0.005, 0.05

-- How long a key that is not used is remembered, in seconds; temporary keys are many.
local IDLE = 86400

local gates = {} -- by id

--- Forget all that was learned.
function M.forget()
  gates = {}
end

local function now()
  return core.sys.monotonic()
end

-- ---- shared between processes --------------------------------------------------------

-- `{[id]={refusals=, at=<unix time of the last one>}}`
local FILE = "refused-keys"

local function is_entry(entry)
  return type(entry) == "table" and type(entry.at) == "number"
    and type(entry.refusals) == "number" and entry.refusals >= 0 and entry.refusals % 1 == 0
end

local function take_entry(gate, entry)
  if not is_entry(entry) then return end
  local since = math.max(core.sys.time() - entry.at, 0)
  if since >= IDLE then return end
  gate.refusals, gate.probe_at = entry.refusals, now() + PROBE_PAUSE - since
end

-- Change the entry of a key; those that are no longer needed go.
local function update(gate, change)
  user_state.update(FILE, function(entries, time)
    for id, entry in pairs(entries) do
      if not is_entry(entry) or math.abs(time - entry.at) >= IDLE then entries[id] = nil end
    end
    entries[gate.id] = change(entries[gate.id], time)
  end)
end

--- The gate of a key. A mended secret is another key.
-- @tparam string ak
-- @tparam userdata sk of `core.secret`
-- @treturn table
function M.gate(ak, sk)
  local id = ak .. " " .. core.sha256("lua-cce access key\n" .. ak, sk):sub(1, 16)
  local gate, time = gates[id], now()
  if not gate then
    for old_id, old in pairs(gates) do
      if old.in_flight == 0 and time - old.used_at > IDLE then gates[old_id] = nil end
    end
    gate = { id = id, ak = ak, proven = false, refusals = 0, in_flight = 0, probe_at = time,
      entered_at = time }
    gates[id] = gate
    take_entry(gate, user_state.read(FILE)[id])
  end
  gate.used_at = time
  return gate
end

-- ---- one request ---------------------------------------------------------------------

--- Whether nothing may be sent with a key now.
-- @tparam table gate
-- @treturn boolean
function M.is_open(gate)
  return gate.refusals >= MOST_REFUSALS and now() < gate.probe_at
end

local function not_sent(gate)
  return errors.fail("UNAUTHENTICATED", ("not sent: access key %s was refused %d times in a row,"
    .. " and more would lock it; the next request tries it in %d s"):format(gate.ak, gate.refusals,
    math.ceil(gate.probe_at - now())), {
    retryable = false, maybe_applied = false, not_sent = true,
    hint = "Mend the key where it comes from: a file or a function is asked again, other keys that"
      .. " are given need a new client",
  })
end

-- One of the processes that share the file tries the key, the others go on waiting.
local function claim_probe(gate)
  gate.probe_at = now() + PROBE_PAUSE
  local claimed = true
  update(gate, function(entry, time)
    claimed = not entry or time - entry.at >= PROBE_PAUSE or time < entry.at
    return claimed and { refusals = gate.refusals, at = time } or entry
  end)
  return claimed
end

--- Wait until one more request may use a key, and count it in flight.
-- @tparam table gate
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code UNAUTHENTICATED
function M.enter(gate)
  local pause = FIRST_LOOK
  while not gate.proven do
    if gate.refusals >= MOST_REFUSALS then
      if M.is_open(gate) or not claim_probe(gate) then return not_sent(gate) end
      break
    end
    if now() - gate.entered_at >= LOST then gate.in_flight = 0 end
    -- Code that runs alone would wait for what does not go on meanwhile.
    local alone = host.current().runs_alone
    if gate.in_flight + gate.refusals < MOST_REFUSALS or alone and alone() then break end
    host.sleep(pause)
    pause = math.min(pause * 2, LONGEST_LOOK)
  end
  gate.in_flight, gate.entered_at = gate.in_flight + 1, now()
  return true
end

--- A request has ended that entered.
-- @tparam table gate
-- @tparam ?string outcome "accepted" or "refused": what the answer said to the key
function M.leave(gate, outcome)
  gate.in_flight = math.max(gate.in_flight - 1, 0)
  if not outcome then return end
  local was_refused = gate.refusals > 0
  if outcome == "accepted" then
    gate.proven, gate.refusals = true, 0
  else
    gate.proven, gate.refusals = false, gate.refusals + 1
    gate.probe_at = now() + PROBE_PAUSE
  end
  if outcome == "accepted" and not was_refused then return end
  update(gate, function(_, time)
    return gate.refusals > 0 and { refusals = gate.refusals, at = time } or nil
  end)
end

return M
