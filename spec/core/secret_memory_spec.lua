-- Nobody can sign with what a core dump of a process shows: neither with a secret key, nor with
-- what is derived from it (the keys of a day, the pads of an HMAC, the states of the hashes after
-- them). The process is looked at from outside, after signatures, during a call, and at its end.
local core = require "cce.core"
local server = require "spec.support.peer.server"
local sha256 = require "spec.support.judge.sha256"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

local AK, SK = "EXAMPLEACCESSKEY0000", "not-a-real-secret-key-in-memory-0000"
local DATE, DAY = "20260102T030405Z", "20260102"

-- What signs, by layout, and all that leads there from the secret key.
local derived = {}

function derived.plain(sk) return { sk or SK } end

function derived.v11()
  local extracted = sha256.hmac(AK, SK)
  local key = sha256.hmac(extracted, DAY .. "/region-1/cce" .. "\1")
  return { SK, extracted, key, sha256.hex(key) }
end

function derived.scoped()
  local list = { SK, "SDK" .. SK }
  for _, part in ipairs { DAY, "region-1", "cce", "sdk_request" } do
    list[#list + 1] = sha256.hmac(list[#list], part)
  end
  return list
end

-- The state of SM3 is not known here: its pads are.
function derived.sm3() return { SK } end

local options = {
  plain = "", v11 = ', algorithm = "V11-HMAC-SHA256", region = "region-1", service = "cce"',
  scoped = ', scheme = "scoped", region = "region-1", service = "cce"',
  sm3 = ', algorithm = "SDK-HMAC-SM3"',
}

-- Everything that could sign, as bytes.
local function needles_of(layout, sk)
  local needles = {}
  for _, key in ipairs(derived[layout](sk)) do
    local inner, outer = sha256.pads(key)
    for _, bytes in ipairs { key, inner:sub(1, 32), outer:sub(1, 32) } do
      needles[#needles + 1] = bytes
    end
    for _, block in ipairs { inner, outer } do
      local state = sha256.state(block)
      needles[#needles + 1] = sha256.big_endian(state)
      needles[#needles + 1] = sha256.little_endian(state)
    end
  end
  return needles
end

-- Runs in a process of its own, and stops at each stage until it may go on.
local STOP = [[
  local core = require "cce.core"
  local function stop(stage)
    assert(io.open(DIR .. "/at-" .. stage, "w")):close()
    while not os.rename(DIR .. "/leave-" .. stage, DIR .. "/left-" .. stage) do
      core.sys.sleep(0.01)
    end
  end
]]

local PROGRAM = STOP .. [[
  local sk = assert(core.secret_from_file(DIR .. "/sk"))
  local signer = assert(core.signer { ak = "EXAMPLEACCESSKEY0000", sk = sk OPTIONS })
  sk:close()
  local request = { method = "POST", host = "127.0.0.1", path = "/x", body = "y", date = "DATE" }
  assert(signer:sign(request))
  assert(signer:explain(request))
  assert(signer:signature("DATE", "z"))
  local prepared = assert(signer:prepare { method = "POST", host = "127.0.0.1", path = "/x" })
  assert(prepared:sign { body = "y", date = "DATE" })
  collectgarbage()
  stop "signed"
  local engine = assert(core.engine())
  local transfer = assert(engine:submit {
    endpoint = "URL", method = "POST", path = "/x", body = "y", signer = signer, date = "DATE",
  })
  for _ = 1, 5 do engine:step(0.05) end
  stop "waiting"
  transfer:close()
  engine:close()
  prepared:close()
  signer:close()
  collectgarbage()
  stop "closed"
]]

-- A token that comes over TLS, behind more than what an allocator writes into freed memory.
local TOKEN = "not-a-real-token-out-of-a-record-of-tls"
local ANSWER = STOP .. [[
  local engine = assert(core.engine { ca_file = "CA" })
  local transfer = assert(engine:submit {
    endpoint = "URL", method = "GET", path = "/", private = true,
  })
  while not transfer:finished() do engine:step(1) end
  local token = assert(transfer:secret "X-Subject-Token")
  transfer:close()
  stop "signed"
  token:close()
  stop "closed"
  engine:close()
  stop "ended"
]]

-- libcurl 8.22 keeps its buffer for as long as the engine lives, with what came last.
local KEEPS_BUFFER = core.libraries():find "libcurl/8%.[2-9]%d"

-- A request with a secret, which was sent and has no answer yet.
local SENT = STOP .. [[
  local secret = assert(core.secret_from_file(DIR .. "/secret"))
  local engine = assert(core.engine { ca_file = "CA" })
  local transfer = assert(engine:submit {
    endpoint = "URL", method = "POST", path = "/", private = true,
    WHERE
  })
  while not os.rename(DIR .. "/arrived", DIR .. "/has-arrived") do engine:step(0.01) end
  stop "waiting"
  transfer:close()
  engine:close()
  secret:close()
  stop "closed"
]]

local IN_REQUEST = [[headers = { ["X-Auth-Token"] = secret }, body = { "x", secret },]]
local IN_IDENTITY = [[
    identity = { key = secret, certificate = assert(core.file.read(DIR .. "/certificate")) },]]

local CLIENT = STOP .. [[
  local cce = require "cce"
  local provider = require("cce.credentials").profile()
  local client = assert(cce.new { credentials = provider, proxy = false })
  assert(client:list_clusters())
  collectgarbage()
  stop "signed"
  client:close()
  provider:close()
  collectgarbage()
  stop "closed"
]]

-- {first, last, is in a core dump, may be swapped out} of each mapping that can be written to. The
-- kernel leaves out of a dump what is marked "dd", and keeps in memory what is marked "lo".
local function mappings(pid)
  local list = {}
  for line in io.lines("/proc/" .. pid .. "/smaps") do
    local first, last, mode = line:match "^(%x+)%-(%x+) (%S+)"
    if first then
      list[#list + 1] = {
        tonumber(first, 16), tonumber(last, 16), written = mode:sub(1, 2) == "rw",
      }
    elseif line:match "^VmFlags:" then
      list[#list].dumped = not (line .. " "):find(" dd ", 1, true)
      list[#list].swapped = not (line .. " "):find(" lo ", 1, true)
    end
  end
  return list
end

local STEP, OVERLAP = 1024 * 1024, 128

local function count_in_file(path, ranges, needles)
  local file, count = assert(io.open(path, "rb")), 0
  for _, range in ipairs(ranges) do
    local at = range[1]
    while at < range[2] do
      local text = file:seek("set", at) and file:read(math.min(STEP, range[2] - at))
      if not text then break end
      for _, needle in ipairs(needles) do
        if text:find(needle, 1, true) then count = count + 1 end
      end
      at = #text == STEP and at + STEP - OVERLAP or range[2]
    end
  end
  file:close()
  return count
end

describe("a core dump #unchecked", function()
  local dir, process

  before_each(function()
    dir = tempdir.new()
    tempdir.write(dir .. "/sk", SK)
  end)

  after_each(function()
    if process then process:close() end
    process = nil
    server.stop_all()
    tempdir.remove(dir)
  end)

  local function run(program, variables)
    local env = {
      -- Else the dynamic linker keeps registers on the stack when it looks up a name, with what
      -- was copied just then in them: see manual/security.md.
      "LD_BIND_NOW=1",
      "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "PATH=" .. os.getenv "PATH",
    }
    for name, value in pairs(variables or {}) do env[#env + 1] = name .. "=" .. value end
    tempdir.write(dir .. "/program.lua", ("local DIR = %q\n"):format(dir) .. program)
    process = assert(core.sys.spawn {
      argv = { simulator.interpreter(), dir .. "/program.lua" }, env = env,
      stdin = "/dev/null", stdout = dir .. "/out", stderr = dir .. "/out", die_with_parent = true,
    })
  end

  local function start(layout)
    local holding = server.start(function(connection)
      connection:request()
      connection:wait()
    end)
    run((PROGRAM:gsub("OPTIONS", options[layout]):gsub("DATE", DATE):gsub("URL", holding.url)))
  end

  local function arrive(stage)
    local deadline = core.sys.monotonic() + 120
    while not core.file.stat(dir .. "/at-" .. stage) do
      assert(process:alive() and core.sys.monotonic() < deadline, tempdir.read(dir .. "/out"))
      core.sys.sleep(0.01)
    end
  end

  local function leave(stage)
    tempdir.write(dir .. "/leave-" .. stage, "")
  end

  -- How often something that signs lies in what a core dump, or the disk, would hold, and in all
  -- memory.
  local function look(needles, may_be_swapped)
    local dumped, rest = {}, {}
    for _, mapping in ipairs(mappings(process:pid())) do
      local is_kept = not mapping.dumped and (may_be_swapped or not mapping.swapped)
      local list = is_kept and rest or dumped
      if mapping.written then list[#list + 1] = mapping end
    end
    local memory = "/proc/" .. process:pid() .. "/mem"
    local count = count_in_file(memory, dumped, needles)
    return count, count + count_in_file(memory, rest, needles)
  end

  for _, layout in ipairs { "plain", "v11", "scoped", "sm3" } do
    it("lets nobody sign by the layout " .. layout, function()
      local needles = needles_of(layout)
      start(layout)
      for _, stage in ipairs { "signed", "waiting" } do
        arrive(stage)
        local dumped, all = look(needles)
        assert.equal(0, dumped, stage)
        assert.is_true(all > 0, "the search does not find what is there")
        leave(stage)
      end
      arrive "closed"
      local _, all = look(needles)
      assert.equal(0, all, "closed")
    end)
  end

  it("has no token that came over TLS", function()
    local identity = server.identity()
    local answers = server.start(function(connection)
      while connection:request() do
        connection:send("HTTP/1.1 200 OK\r\nX-Long: ", ("x"):rep(1000), "\r\nX-Subject-Token: ",
          connection.data.token, "\r\nX-Long-Too: ", ("x"):rep(1000), "\r\nContent-Length: 2\r\n",
          "\r\n{}")
      end
    end, { tls = identity.pair(), data = { token = TOKEN } })
    run((ANSWER:gsub("CA", identity.ca_file):gsub("URL", answers.url)))
    arrive "signed"
    local dumped, all = look({ TOKEN }, KEEPS_BUFFER)
    assert.equal(0, dumped)
    assert.is_true(all > 0, "the search does not find what is there")
    leave "signed"
    arrive "closed"
    assert.equal(KEEPS_BUFFER and 1 or 0, select(2, look { TOKEN }))
    leave "closed"
    arrive "ended"
    assert.equal(0, select(2, look { TOKEN }))
    identity.remove()
  end)

  for name, where in pairs {
    ["token that was sent by http"] = IN_REQUEST, ["token that was sent by https"] = IN_REQUEST,
    ["key of an identity that was sent by https"] = IN_IDENTITY,
  } do
    it("has no " .. name .. " and waits for its answer", function()
      local identity = server.identity()
      local pair = identity.pair()
      local holding = server.start(function(connection)
        connection:request()
        connection:wait()
      end, { tls = name:find "https" and pair or nil })
      local key = pair.key:toPEM "private"
      local needle = where == IN_REQUEST and TOKEN or key:match "\n(%C+)\n%-"
      tempdir.write(dir .. "/secret", where == IN_REQUEST and TOKEN or key)
      tempdir.write(dir .. "/certificate", tostring(pair.certificate))
      os.execute("chmod 600 " .. dir .. "/secret")
      run((SENT:gsub("CA", identity.ca_file):gsub("URL", holding.url):gsub("WHERE", where)))
      holding:await "request"
      tempdir.write(dir .. "/arrived", "")
      arrive "waiting"
      -- libcurl's copy is not locked: the quota is for what lives longer.
      local dumped, all = look({ needle }, true)
      assert.equal(0, dumped)
      assert.is_true(all > 0, "the search does not find what is there")
      leave "waiting"
      arrive "closed"
      assert.equal(0, select(2, look { needle }))
      identity.remove()
    end)
  end

  it("of a client lets nobody sign", function()
    local sim, member = simulator.get(), simulator.member
    local needles = needles_of("plain", member.sk)
    sim:reset()
    tempdir.write(dir .. "/profile", ("[basic]\nak=%s\nsk=%s\n"):format(member.ak, member.sk))
    os.execute("chmod 600 " .. dir .. "/profile")
    run(CLIENT, {
      CCE_ENDPOINT = sim.env.CCE_ENDPOINT, CCE_CA_FILE = sim.env.CCE_CA_FILE,
      HUAWEICLOUD_SDK_IAM_ENDPOINT = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      HUAWEICLOUD_SDK_PROJECT_ID = sim.project_id,
      HUAWEICLOUD_SDK_CREDENTIALS_FILE = dir .. "/profile",
    })
    arrive "signed"
    local dumped, all = look(needles)
    assert.equal(0, dumped)
    assert.is_true(all > 0, "the search does not find what is there")
    leave "signed"
    arrive "closed"
    assert.equal(0, select(2, look(needles)))
  end)

  it("that gdb writes lets nobody sign", function()
    local pipe = io.popen "command -v gcore"
    local found = pipe:read "*a"
    pipe:close()
    if found == "" then return pending "gdb is not installed" end
    start "plain"
    arrive "signed"
    os.execute(("gcore -o '%s/core' %d >/dev/null 2>&1"):format(dir, process:pid()))
    local path = ("%s/core.%d"):format(dir, process:pid())
    local info = core.file.stat(path)
    if not info then return pending "gdb may not look at a process here" end
    assert.equal(0, count_in_file(path, { { 0, info.size } }, needles_of "plain"))
    assert.is_true(count_in_file(path, { { 0, info.size } }, { AK }) > 0)
  end)
end)
