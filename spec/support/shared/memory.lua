-- Run by specs in a process of its own: uses a client with credentials from one source, closes
-- it, and looks for secrets in the whole memory of this process.
--   lua memory.lua SOURCE PATTERN…   where each PATTERN is [s][e][c][r][e][t]
-- so that nothing here holds the secret itself, not even what is left of the search, which reads
-- its own memory too. Prints how often each was found.
-- The secrets that the simulator makes up are unknown to us: their beginning is looked for.
local cce = require "cce"
local credentials = require "cce.credentials"

local sources = {}

function sources.profile() return credentials.profile() end

function sources.metadata()
  return credentials.metadata { test_address = os.getenv "TEST_METADATA" }
end

function sources.pod() return credentials.pod_identity() end

function sources.agency()
  return credentials.agency {
    agency_name = "sim-agency", domain_name = "sim-account", source = credentials.profile(),
  }
end

function sources.id_token()
  return credentials.id_token { idp_id = "sim-idp", id_token_file = os.getenv "TEST_ID_TOKEN" }
end

function sources.password()
  return credentials.password {
    username = "member", domain = "sim-account",
    password = require("cce.core").secret_from_file(os.getenv "TEST_PASSWORD"),
  }
end

function sources.key_token()
  return credentials.key_token {
    ak = os.getenv "TEST_AK", sk = require("cce.core").secret_from_file(os.getenv "TEST_SK"),
  }
end

-- Sees all of it: "kept" must be found, or the search is worth nothing.
function sources.kept()
  local secret = require("cce.core").secret_from_file(os.getenv "TEST_SK")
  _G.kept = secret
  return credentials.static { ak = os.getenv "TEST_AK", sk = secret }
end

local function maps()
  local ranges = {}
  for line in io.lines "/proc/self/maps" do
    local first, last, mode = line:match "^(%x+)%-(%x+) (%S+)"
    if mode:sub(1, 1) == "r" and not line:find("[v", 1, true) then
      ranges[#ranges + 1] = { tonumber(first, 16), tonumber(last, 16) }
    end
  end
  return ranges
end

local STEP, OVERLAP = 65536, 256

local function scan(patterns)
  local counts, memory = {}, assert(io.open("/proc/self/mem", "rb"))
  memory:setvbuf "no"
  for i = 1, #patterns do counts[i] = 0 end
  for _, range in ipairs(maps()) do
    local at = range[1]
    while at < range[2] do
      local text = memory:seek("set", at) and memory:read(math.min(STEP, range[2] - at))
      if not text then break end
      for i, pattern in ipairs(patterns) do
        counts[i] = counts[i] + select(2, text:gsub(pattern, "%0"))
      end
      at = #text == STEP and at + STEP - OVERLAP or at + math.max(#text, 1)
      text = nil -- luacheck: ignore
    end
  end
  return counts
end

local provider = sources[arg[1]]()
local client = assert(cce.new { credentials = provider, proxy = false })
print(#assert(client:list_clusters()))
client:close()
if arg[1] ~= "kept" then provider:close() end
provider = nil -- luacheck: ignore
collectgarbage()
collectgarbage()

local patterns = {}
for i = 2, #arg do patterns[#patterns + 1] = arg[i] end
print("found " .. table.concat(scan(patterns), " "))
