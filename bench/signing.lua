-- Signatures a second through the public signer:sign, beside the least that
-- they can cost: bench/hash_floor.c does the same hashes and nothing else.
--
--   lua bench/signing.lua [--json] [--seconds N]
--
-- Both run in turns in one process, and each shows its best round: the rounds
-- that something else disturbed say nothing about the code.

local core = require "cce.core"
local hash_floor = require "hash_floor"

local ROUNDS = 7
local AK, SK = "EXAMPLEACCESSKEY0000", "not-a-real-secret-key-0000000000000000000"
local PROJECT = "0123456789abcdef0123456789abcdef"

local spec = {
  method = "POST",
  host = "cce.eu-west-101.myhuaweicloud.eu",
  path = "/api/v3/projects/" .. PROJECT
    .. "/clusters/11111111-2222-3333-4444-555555555555/clustercert",
  headers = { ["Content-Type"] = "application/json", ["X-Project-Id"] = PROJECT },
  body = '{"duration":30}',
}

local function read_arguments(list)
  local options = { seconds = 0.3 }
  local i = 1
  while list[i] do
    if list[i] == "--json" then
      options.json = true
    elseif list[i] == "--seconds" and tonumber(list[i + 1]) then
      i = i + 1
      options.seconds = tonumber(list[i])
    else
      error("usage: lua bench/signing.lua [--json] [--seconds N]", 0)
    end
    i = i + 1
  end
  return options
end

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
  local signer = assert(core.signer { ak = AK, sk = SK })
  local floor = hash_floor.new(SK)
  local stages = assert(signer:explain(spec))
  local body, canonical, to_sign = spec.body, stages.canonical_request, stages.string_to_sign
  assert(floor:sign(body, canonical, to_sign) == stages.signature, "the floor hashes otherwise")
  return {
    floor = function(count)
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

local options = read_arguments(arg)
local best = best_of(make_runs(), options.seconds)
local version = rawget(_G, "jit") and jit.version or _VERSION
local result = {
  lua = version,
  floor_per_second = math.floor(best.floor),
  sign_per_second = math.floor(best.sign),
  ratio = math.floor(best.sign / best.floor * 1000) / 1000,
}

if options.json then
  print((core.json.encode(result)))
else
  print(("%-24s %14s %14s %8s"):format("", "floor/s", "signer:sign/s", "ratio"))
  print(("%-24s %14d %14d %8.2f"):format(version, result.floor_per_second, result.sign_per_second,
    result.ratio))
end
