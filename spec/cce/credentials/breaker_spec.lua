local breaker = require "cce.credentials.breaker"
local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local host = require "cce.host"
local hosts = require "spec.support.hosts"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

describe("the breaker of an access key", function()
  local real, ahead = core.sys.monotonic, 0

  before_each(function()
    breaker.forget()
    ahead = 0
    core.sys.monotonic = function() return real() + ahead end
  end)

  after_each(function()
    core.sys.monotonic = real
    breaker.forget()
  end)

  local function gate(ak, sk)
    return breaker.gate(ak or "AK", assert(core.secret(sk or "secret")))
  end

  local function use(which, outcome)
    local entered, message, err = breaker.enter(which)
    if entered then breaker.leave(which, outcome) end
    return entered, message, err
  end

  it("is one for all that use the key; a mended secret is another key", function()
    assert.equal(gate(), gate())
    assert.not_equal(gate(), gate("AK", "mended"))
    assert.not_equal(gate(), gate("other"))
    assert.is_nil(gate().id:find("secret", 1, true))
  end)

  it("sends nothing more after two refusals in a row, but one request a minute", function()
    local key = gate()
    assert.is_true(use(key, "refused"))
    assert.is_false(breaker.is_open(key))
    assert.is_true(use(key, "refused"))
    assert.is_true(breaker.is_open(key))
    local err = clients.fails("UNAUTHENTICATED", (function()
      local ok, message, problem = use(key)
      problem.not_sent = nil
      return ok, message, problem
    end)())
    assert.matches("^not sent: access key AK was refused 2 times in a row", err.message)
    assert.is_false(err.retryable)
    ahead = 59
    assert.is_nil((use(key)))
    ahead = 61
    assert.is_true(use(key, "refused"))
    assert.is_nil((use(key)), "the probe of this minute was refused")
    ahead = 122
    assert.is_true(use(key))
    assert.is_nil((use(key)), "one that told nothing is a probe, too")
    ahead = 183
    assert.is_true(use(key, "accepted"))
    for _ = 1, 5 do assert.is_true(use(key, "accepted")) end
  end)

  it("counts refusals in a row alone", function()
    local key = gate()
    for _ = 1, 4 do
      assert.is_true(use(key, "refused"))
      assert.is_true(use(key, "accepted"))
    end
    assert.is_true(use(key, "refused"))
    assert.is_true(use(key))
    assert.is_false(breaker.is_open(key))
    assert.is_true(use(key, "refused"))
    assert.is_true(breaker.is_open(key))
  end)

  it("lets two requests fly until one succeeds, and then all", function()
    local key, most, flying = gate(), 0, 0
    local results = cce.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i)
      assert(breaker.enter(key))
      flying = flying + 1
      if not key.proven then most = math.max(most, flying) end
      cce.sleep(i <= 2 and 0.05 or 0.01)
      flying = flying - 1
      breaker.leave(key, "accepted")
    end, { concurrency = 8 })
    for _, result in ipairs(results) do assert.is_true(result.ok, result.message) end
    assert.equal(2, most)
    assert.equal(0, key.in_flight)
  end)

  it("takes one in flight for refused while the key has a refusal", function()
    for last, third in pairs { refused = false, accepted = true } do
      breaker.forget()
      local key, entered = gate(), nil
      assert(breaker.enter(key) and breaker.enter(key))
      breaker.leave(key, "refused")
      cce.map({ 1, 2 }, function(i)
        if i == 1 then
          entered = breaker.enter(key) or false
        else
          -- Many times as long as the other takes to look again.
          cce.sleep(0.2)
          assert.is_nil(entered)
          breaker.leave(key, last)
        end
      end)
      assert.equal(third, entered)
    end
  end)

  it("waits only where somebody else can go on meanwhile", function()
    local current, waits = host.current, 0
    finally(function() host.current = current end)
    local function entered_after_two(driver)
      breaker.forget()
      local key = gate()
      assert(breaker.enter(key) and breaker.enter(key))
      waits = 0
      driver.sleep = function()
        waits = waits + 1
        ahead = ahead + 61
      end
      host.current = function() return driver end
      assert(breaker.enter(key))
      return waits
    end
    assert.equal(1, entered_after_two {})
    assert.equal(1, entered_after_two { runs_alone = function() return false end })
    assert.equal(0, entered_after_two { runs_alone = function() return true end })
    -- Nobody waits for the one request of a minute.
    host.current = current
    local key = gate("refused")
    for _ = 1, 2 do assert.is_true(use(key, "refused")) end
    ahead, waits = ahead + 61, 0
    host.current = function() return { sleep = function() waits = waits + 1 end } end
    assert.same({ true, 0 }, { breaker.enter(key), waits })
  end)

  it("does not wait for ever for those that never came back", function()
    local key, entered = gate(), false
    assert(breaker.enter(key) and breaker.enter(key))
    cce.map({ 1 }, function()
      cce.map({ 1, 2 }, function(i)
        if i == 1 then
          entered = breaker.enter(key)
        else
          cce.sleep(0.02)
          assert.is_false(entered)
          ahead = 61
        end
      end)
    end)
    assert.is_true(entered)
    -- Who was taken for lost leaves no room for more when it ends after all.
    for _ = 1, 3 do breaker.leave(key) end
    assert.equal(0, key.in_flight)
  end)

  it("is forgotten when nobody has used the key for a day, and no request of it flies", function()
    local idle, flying = gate "idle", gate "flying"
    assert(breaker.enter(flying))
    ahead = 86000
    local used = gate "used"
    assert.equal(idle, gate "idle")
    ahead = ahead + 86000
    gate "another"
    assert.equal(used, gate "used")
    ahead = ahead + 86000
    gate "a third"
    assert.not_equal(idle, gate "idle")
    assert.equal(flying, gate "flying")
  end)

  describe("shared by a file", function()
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() tempdir.remove(dir) end)

    -- A process of its own: what it says of `use(key, outcome)`, one after the other.
    local function process(...)
      local words = {}
      for i, outcome in ipairs { ... } do words[i] = ("%q"):format(outcome) end
      return tempdir.check("XDG_STATE_HOME=" .. dir .. "/state " .. tempdir.lua(([[
        local breaker, core = require "cce.credentials.breaker", require "cce.core"
        require("cce.base.user_state").enable()
        local key = breaker.gate("AK", assert(core.secret "example-secret"))
        local monotonic, ahead = core.sys.monotonic, 0
        core.sys.monotonic = function() return monotonic() + ahead end
        for _, outcome in ipairs { %s } do
          if outcome == "in a minute" then ahead = ahead + 61 end
          local written = outcome:match "^written: (.*)"
          if written then
            assert(core.file.write(%q, (written:gsub("KEY", key.id))))
          end
          local entered = breaker.enter(key)
          print(entered and outcome or "not sent")
          local is_told = outcome == "accepted" or outcome == "refused"
          if entered then breaker.leave(key, is_told and outcome or nil) end
        end]]):format(table.concat(words, ", "), dir .. "/state/cce/refused-keys.json")))
    end

    it("is known to the next process, without a secret in it", function()
      assert.equal("accepted\n", process "accepted")
      assert.is_false(core.file.stat(dir .. "/state/cce"))
      assert.equal("refused\n", process "refused")
      assert.equal("refused\nnot sent\n", process("refused", "refused"))
      assert.equal("not sent\n", process "accepted")
      local path = dir .. "/state/cce/refused-keys.json"
      local text = tempdir.read(path)
      assert.matches('^{"AK %x+":', text)
      assert.is_nil(text:find("example-secret", 1, true))
      assert.equal("0600", core.file.stat(path).mode)
      -- A minute later one of them tries it.
      tempdir.write(path, (text:gsub('"at":[%d.e+]+', '"at":' .. ("%d"):format(os.time() - 61))))
      assert.equal("accepted\naccepted\n", process("accepted", "accepted"))
      assert.equal("{}", tempdir.read(path))
    end)

    -- What the next process makes of an entry that is so many seconds old, and what it leaves of
    -- it and of others' entries.
    it("is forgotten after a day, and is nothing when it is damaged", function()
      process "refused"
      local path = dir .. "/state/cce/refused-keys.json"
      local id = tempdir.read(path):match '"(AK %x+)"'
      local function left(entry, ...)
        local text = ('{"AK other":{"refusals":2,"at":%d},"AK old":{"refusals":2,"at":%d},'
          .. '"AK ahead":{"refusals":2,"at":%d},"AK bad":{"refusals":2},"%s":%s}')
        local time = os.time()
        tempdir.write(path, text:format(time - 86000, time - 87000, time + 87000, id,
          (entry:gsub("NOW([-+]%d+)", function(ago) return ("%d"):format(time + ago) end))))
        return (process(...):gsub("\n", " "))
      end
      for entry, expected in pairs {
        ['{"refusals":2,"at":NOW-0}'] = "not sent not sent ",
        ['{"refusals":2,"at":NOW-50}'] = "not sent not sent ",
        -- Tried, and then again in a minute.
        ['{"refusals":2,"at":NOW-70}'] = "nothing not sent ",
        ['{"refusals":2,"at":NOW-86000}'] = "nothing not sent ",
        ['{"refusals":2,"at":NOW-87000}'] = "nothing nothing ",
        ['{"refusals":1,"at":NOW-0}'] = "nothing nothing ",
        ['{"refusals":"2","at":NOW-0}'] = "nothing nothing ",
        ['{"refusals":2.5,"at":NOW-0}'] = "nothing nothing ",
        ['{"refusals":-9,"at":NOW-0}'] = "nothing nothing ",
        ['{"refusals":2,"at":"1"}'] = "nothing nothing ",
        ['{"refusals":2}'] = "nothing nothing ",
        ["7"] = "nothing nothing ",
      } do
        assert.equal(expected, left(entry, "nothing", "nothing"), entry)
      end
      -- Of a clock that was set back: a minute from now.
      assert.equal("not sent in a minute ", left('{"refusals":2,"at":NOW+1000}', "nothing",
        "in a minute"))
      assert.equal("refused ", left("7", "refused"))
      local names = {}
      for name in tempdir.read(path):gmatch '"(AK [^"]+)"' do names[#names + 1] = name end
      table.sort(names)
      assert.same({ id, "AK other" }, names)
    end)

    it("lets one process try it in a minute, whatever became of the file or the clock", function()
      local function third(entry)
        return process("refused", "refused", "written: {" .. entry .. "}", "in a minute"):match
          "(%C+)\n$"
      end
      local ENTRY = '"KEY":{"refusals":2,"at":%d}'
      assert.equal("in a minute", third(ENTRY:format(os.time() - 70)))
      os.remove(dir .. "/state/cce/refused-keys.json")
      local at = os.time() - 10
      assert.equal("not sent", third(ENTRY:format(at)))
      -- Who was not the one does not put it off for the others.
      local path = dir .. "/state/cce/refused-keys.json"
      assert.matches('"at":' .. at, tempdir.read(path), 1, true)
      os.remove(path)
      assert.equal("in a minute", third(ENTRY:format(os.time() + 1000)))
      os.remove(dir .. "/state/cce/refused-keys.json")
      assert.equal("in a minute", third "")
      assert.equal(2, core.json.decode(tempdir.read(dir .. "/state/cce/refused-keys.json"))
        [tempdir.read(dir .. "/state/cce/refused-keys.json"):match '"(AK %x+)"'].refusals)
    end)

    it("is each process's own when it cannot be written, or is no such file", function()
      tempdir.write(dir .. "/state", "a file in the way")
      assert.equal("refused\nrefused\nnot sent\n", process("refused", "refused", "refused"))
      assert.equal("accepted\n", process "accepted")
      tempdir.check("rm " .. dir .. "/state; mkdir -p " .. dir .. "/state/cce")
      for _, text in ipairs { "", "[]", "{", '{"AK":7}', '{"AK x":{"at":"x"}}', ("x"):rep(3e5) } do
        tempdir.write(dir .. "/state/cce/refused-keys.json", text)
        assert.equal("accepted\n", process "accepted")
      end
    end)
  end)
end)

if not simulator.has_program "nginx" then return end

-- From now on the gateway does not know its key.
local function disable(sim, key)
  local principal = key.principal
  sim:put_principal { kind = principal.kind, id = principal.id, name = principal.name,
    enabled = false }
end

describe("an access key that is refused", function()
  local sim

  before_each(function()
    sim = simulator.get()
    sim:reset()
  end)

  local function refusals()
    local count = 0
    for _, entry in ipairs(sim:log()) do
      if entry.status == 401 then count = count + 1 end
    end
    return count
  end

  local function many(client, count, concurrency)
    local items = {}
    for i = 1, count do items[i] = i end
    return cce.map(items, function(i)
      return client:show_cluster(sim.clusters[i % #sim.clusters + 1].id)
    end, { concurrency = concurrency })
  end

  it("from the start costs three requests at most, of 300 at 16 a time", function()
    local client = hosts.client(sim, { credentials = { ak = simulator.member.ak,
      sk = "example-wrong" } })
    local unsent = 0
    for _, result in ipairs(many(client, 300, 16)) do
      assert.equal("UNAUTHENTICATED", result.err.code)
      if result.err.attempts == 0 then unsent = unsent + 1 end
    end
    assert.is_true(refusals() <= 3, refusals())
    assert.equal(300 - refusals(), unsent)
    assert.equal(refusals(), #sim:log())
    -- Nor does another client of the process try it.
    local other = hosts.client(sim, { credentials = { ak = simulator.member.ak,
      sk = "example-wrong" } })
    local err = clients.fails("UNAUTHENTICATED", other:list_clusters())
    assert.matches("^list_clusters: not sent: access key ", err.message)
    assert.equal(0, err.attempts)
    assert.is_false(err.maybe_applied)
    client:close()
    other:close()
  end)

  it("midway costs what was in flight, and one more", function()
    local client = hosts.client(sim)
    assert(client:list_clusters())
    disable(sim, simulator.admin)
    many(client, 100, 16)
    assert.is_true(refusals() <= 17, refusals())
    client:close()
  end)

  it("ends at once whoever would have to wait for the rate limit first", function()
    local client = clients.new(sim, { rate_limit = "1/h", credentials = {
      ak = simulator.member.ak, sk = "example-wrong" } })
    client.limiter.count = 2
    for _ = 1, 2 do clients.fails("UNAUTHENTICATED", client:list_clusters()) end
    local err = clients.fails("UNAUTHENTICATED", client:list_clusters())
    assert.matches("not sent", err.message)
    assert.same({}, client.slept)
    client:close()
  end)

  it("is none for what CCE itself refuses, for a skewed clock or an ended token", function()
    local client = clients.new(sim)
    assert(client:list_clusters())
    for _ = 1, 3 do
      sim:fault { operation = "list_clusters", status = 401, times = 1, body =
        '{"errorCode":"CCE.01401001","errorMessage":"Authentication failed."}' }
      local err = clients.fails("UNAUTHENTICATED", client:list_clusters())
      assert.equal(1, err.attempts)
    end
    sim:clock(1200)
    assert(client:list_clusters())
    sim:clock(0)
    client:close()
  end)
end)

describe("keys that are replaced at their source", function()
  local sim, dir, path

  before_each(function()
    sim = simulator.get()
    sim:reset()
    dir = tempdir.new()
    path = dir .. "/credentials"
  end)

  after_each(function() tempdir.remove(dir) end)

  local function write(ak, sk)
    tempdir.write(path, ("[basic]\nak = %s\nsk = %s\n"):format(ak, sk))
    tempdir.check("chmod 600 " .. tempdir.quote(path))
  end

  local function client_of_file(options)
    options = options or {}
    options.credentials = cce.credentials.profile { path = path }
    return clients.new(sim, options)
  end

  local function told(client, kind)
    local list = {}
    for _, event in ipairs(client.events) do
      if event.type == kind then list[#list + 1] = event.ak end
    end
    return list
  end

  it("are taken by a living client after a refusal, and an event tells", function()
    write("OLDKEYTHATISGONE", "example-old")
    local client = client_of_file()
    clients.fails("UNAUTHENTICATED", client:list_clusters())
    write(simulator.admin.ak, simulator.admin.sk)
    assert(client:list_clusters())
    assert.same({ "OLDKEYTHATISGONE", simulator.admin.ak }, told(client, "credentials"))
    assert.same({ "OLDKEYTHATISGONE" }, told(client, "key_refused"))
    assert.equal(2, #sim:log())
    client:close()
  end)

  it("are taken within the call that is refused, also by a rotation", function()
    write(simulator.member.ak, simulator.member.sk)
    local client = client_of_file()
    assert(client:list_clusters())
    write(simulator.admin.ak, simulator.admin.sk)
    disable(sim, simulator.member)
    assert(client:rotate_credentials(sim.clusters[1].id, { component = "all" }))
    assert.equal(2, #sim:log { operation = "rotate_credentials" })
    client:close()
  end)

  it("are taken although two refusals have stopped the old ones", function()
    write("OLDKEYTHATISGONE", "example-old")
    local client = client_of_file()
    for _ = 1, 5 do clients.fails("UNAUTHENTICATED", client:list_clusters()) end
    assert.equal(2, #sim:log())
    write(simulator.admin.ak, simulator.admin.sk)
    assert(client:list_clusters())
    client:close()
  end)

  it("are taken without a refusal, when the file has been another one for a while", function()
    local now = 1000
    write(simulator.admin.ak, simulator.admin.sk)
    local client = client_of_file { monotonic = function() return now end }
    assert(client:list_clusters())
    write(simulator.member.ak, simulator.member.sk)
    assert(client:list_clusters())
    now = now + 11
    assert(client:list_clusters())
    assert.same({ simulator.admin.ak, simulator.member.ak }, told(client, "credentials"))
    client:close()
  end)

  it("leave those in use when the file is gone or is half written", function()
    local now = 1000
    write(simulator.admin.ak, simulator.admin.sk)
    local client = client_of_file { monotonic = function() return now end }
    assert(client:list_clusters())
    for _, spoil in ipairs { "rm ", "printf '[basic]\\nak = x\\n' >" } do
      tempdir.check(spoil .. tempdir.quote(path))
      now = now + 100
      assert(client:list_clusters())
    end
    client:close()
  end)

  it("are taken by the token in a file, too", function()
    local function put(token)
      tempdir.write(path, token .. "\n")
      tempdir.check("chmod 600 " .. tempdir.quote(path))
    end
    put "not-a-token"
    local client = clients.new(sim, { credentials = cce.credentials.token_file(path) })
    clients.fails("UNAUTHENTICATED", client:list_clusters())
    put(simulator.agency.token)
    assert(client:list_clusters())
    client:close()
  end)

  it("are asked for again of a function", function()
    local keys, asked = { ak = "OLDKEYTHATISGONE", sk = "example-old" }, 0
    local client = clients.new(sim, { credentials = function()
      asked = asked + 1
      return keys
    end })
    clients.fails("UNAUTHENTICATED", client:list_clusters())
    assert.equal(2, asked, "at first, and after the refusal")
    keys = { ak = simulator.admin.ak, sk = simulator.admin.sk }
    assert(client:list_clusters())
    client:close()
  end)
end)

if not pcall(require, "argparse") then return end

describe("a refused key of the command", function()
  local command = require "spec.support.command"

  it("is remembered from one command to the next, until it is mended", function()
    local sim = simulator.get()
    sim:reset()
    local world = command.new(sim)
    local function list(sk)
      return world:cce({ "clusters" }, { env = { HUAWEICLOUD_SDK_SK = sk } })
    end
    for _ = 1, 2 do assert.matches("HTTP 401", list("example-wrong").err) end
    local third = list "example-wrong"
    assert.matches("not sent: access key .* was refused 2 times in a row", third.err)
    assert.equal(1, third.code)
    assert.equal(2, #sim:log())
    assert.equal(0, list(sim.env.HUAWEICLOUD_SDK_SK).code)
    world:remove()
  end)
end)
