-- Signatures a second through the public signer:sign and prepared:sign, beside
-- the least that they can cost: bench/hash_floor.c does the same hashes and nothing else, once
-- as a bare binding is used (a call for each hash), once all in a single call.
--
-- They run in turns in one process, and each shows its best round: the rounds
-- that something else disturbed say nothing about the code.
local cce = require "cce"
local hash_floor = require "hash_floor"

local ROUNDS, SECONDS = 7, 0.3
local AK, SK = "EXAMPLEACCESSKEY0000", "not-a-real-secret-key-0000000000000000000"
local PROJECT = "0123456789abcdef0123456789abcdef"

local CLUSTER = "11111111-2222-3333-4444-555555555555"
local PATH = "/api/v3/projects/" .. PROJECT .. "/clusters/%s/clustercert"

local spec = {
  method = "POST",
  host = "cce.eu-west-101.myhuaweicloud.eu",
  path = PATH:format(CLUSTER),
  headers = { ["Content-Type"] = "application/json", ["X-Project-Id"] = PROJECT },
  body = '{"duration":30}',
}

local function rate(run, seconds)
  local batch, count = 2000, 0
  local start = os.clock()
  local now
  repeat
    run(batch)
    count = count + batch
    now = os.clock()
  until now - start >= seconds
  return count / (now - start)
end

local function best_of(runs, seconds)
  local best = {}
  for _ = 1, ROUNDS do
    for name, run in pairs(runs) do
      best[name] = math.max(best[name] or 0, rate(run, seconds))
    end
  end
  return best
end

local function make_runs()
  local signer = assert(cce.signer { ak = AK, sk = SK })
  local floor = hash_floor.new(SK)
  local stages = assert(signer:explain(spec))
  local prepared = assert(signer:prepare {
    method = spec.method, host = spec.host, headers = spec.headers,
    path = PATH:format "{cluster_id}",
  })
  local changes = { cluster_id = CLUSTER, body = spec.body }
  local body, canonical, to_sign = spec.body, stages.canonical_request, stages.string_to_sign
  assert(floor:sign(body, canonical, to_sign) == stages.signature, "the floor hashes otherwise")
  local one, other = signer:sign(spec), prepared:sign(changes)
  if one["X-Sdk-Date"] == other["X-Sdk-Date"] then
    assert(one.Authorization == other.Authorization, "the prepared request is another one")
  end
  return {
    prepared = function(count)
      for _ = 1, count do
        prepared:sign(changes)
      end
    end,
    binding = function(count)
      for _ = 1, count do
        floor:sha256(body)
        floor:sha256(canonical)
        floor:hmac(to_sign)
      end
    end,
    single = function(count)
      for _ = 1, count do
        floor:sign(body, canonical, to_sign)
      end
    end,
    sign = function(count)
      for _ = 1, count do
        signer:sign(spec)
      end
    end,
  }
end

return function(report)
  local best = best_of(make_runs(), SECONDS)
  report:add {
    group = "signing", measure = "signatures", value = best.sign, unit = "/s",
    beside = "bare binding of the hashes", beside_value = best.binding, ratio_at_least = 0.6,
  }
  report:add {
    group = "signing", measure = "signatures, prepared", value = best.prepared, unit = "/s",
    beside = "bare binding of the hashes", beside_value = best.binding, ratio_at_least = 0.85,
  }
  report:add {
    group = "signing", measure = "signatures", value = best.sign, unit = "/s",
    beside = "the hashes in a single call", beside_value = best.single,
  }
end
