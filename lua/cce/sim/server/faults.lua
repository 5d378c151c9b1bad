--- Faults on request. A fault names what it hits (cluster, operation, method, service; left out:
-- any, but requests to the clusters themselves only where service is "kubernetes"), how often
-- (times; left out: always) and what it does:
--
--   delay=SECONDS         waits first (alone: and then answers as usual)
--   reset="before"        breaks the connection before the request is looked at
--   reset="after"         does what was asked, then breaks the connection
--   status=, body=, headers=  answers this instead; body is text, left out: the service's own
--   applied=true           with status: does what was asked before it answers so
--   truncate=true         does it, announces the whole answer, sends half and breaks off
--   garbage=true          does it, answers 200 with what is no JSON
--   oversize=BYTES        does it, answers 200 with that many bytes of JSON
--   hold="before"|"after"  waits, before the request is served or before it is answered, until the
--                         control endpoint lets it go (see cce.sim.store.holds)
--   close_on_reuse=true   only the 2nd and later requests of a kept-alive connection: closes it
--                         without an answer, but notes that the request came
local M = {}

local list = {}

local FIELDS = {
  cluster = "string", operation = "string", service = "string", times = "number",
  method = "string",
  delay = "number", reset = "string", status = "number", body = "string", headers = "table",
  truncate = "boolean", garbage = "boolean", oversize = "number", applied = "boolean",
  close_on_reuse = "boolean", hold = "string",
}

--- Adds a fault. Returns true, or nil and what is wrong with it.
function M.add(fault)
  if type(fault) ~= "table" then
    return nil, "a fault is a JSON object"
  end
  for key, value in pairs(fault) do
    if type(value) ~= FIELDS[key] then
      return nil, ("field %s of a fault: %s"):format(
        tostring(key), FIELDS[key] and FIELDS[key] .. " expected" or "not known")
    end
  end
  if fault.reset and fault.reset ~= "before" and fault.reset ~= "after" then
    return nil, 'field reset of a fault: "before" or "after" expected'
  end
  if fault.hold and fault.hold ~= "before" and fault.hold ~= "after" then
    return nil, 'field hold of a fault: "before" or "after" expected'
  end
  list[#list + 1] = fault
  return true
end

function M.clear()
  list = {}
end

function M.list()
  return list
end

local function hits(fault, seen)
  if fault.close_on_reuse and seen.connection_request < 2 then
    return false
  end
  return (fault.cluster or seen.cluster) == seen.cluster
    and (fault.operation or seen.operation) == seen.operation
    and (fault.method or seen.method) == seen.method
    and (fault.service or seen.service ~= "kubernetes" and seen.service) == seen.service
end

--- The fault for a request, used up by one; nil when none hits. seen: a log entry.
function M.take(seen)
  for i, fault in ipairs(list) do
    if hits(fault, seen) then
      if fault.times then
        fault.times = fault.times - 1
        if fault.times <= 0 then
          table.remove(list, i)
        end
      end
      return fault
    end
  end
end

return M
