-- What a client keeps of its keys: when it asks their source again, and whose uses it waits for.
-- A token that has ended is renewed once, however many calls wait for it: in nginx. (In cce.map:
-- credentials_spec; in event loops: host/loop_spec.)

local breaker = require "cce.credentials.breaker"
local core = require "cce.core"
local errors = require "cce.error"
local providers = require "cce.credentials.provider"
local sessions = require "cce.credentials.session"
local simulator = require "spec.support.sim"
local sys = core.sys
local tempdir = require "spec.support.tempdir"

local CALLS = 20

local sim = simulator.get()

local CONF = [[
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
%s
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp;
  scgi_temp_path tmp;
  lua_package_path "%s";
  lua_package_cpath "%s";
  lua_socket_log_errors off;
  server {
    listen unix:%s/socket;
    location = /none {
      content_by_lua_block {
        local client = require("cce").new {
          endpoint = "%s", proxy = false, project_id = "p-1",
          credentials = require("cce.credentials").chain {
            require("cce.credentials").environment(),
          },
        }
        local _, _, err = client:list_clusters()
        ngx.print(tostring(err))
      }
    }
    location = /refused {
      content_by_lua_block {
        local api = assert(require("cce").new {
          endpoint = "%s", ca_file = "%s", project_id = "%s", proxy = false,
          credentials = { ak = "%s", sk = "example-wrong" },
        })
        local threads, unsent = {}, 0
        for i = 1, 40 do
          threads[i] = ngx.thread.spawn(function()
            return select(3, api:list_clusters()).attempts
          end)
        end
        for i = 1, #threads do
          local ok, attempts = ngx.thread.wait(threads[i])
          if ok and attempts == 0 then unsent = unsent + 1 end
        end
        api:close()
        ngx.print(unsent)
      }
    }
    location = / {
      content_by_lua_block {
        client = client or assert(require("cce").new {
          endpoint = "%s", ca_file = "%s", project_id = "%s", proxy = false,
          endpoints = { iam = "%s" },
          credentials = { username = "member", domain = "sim-account",
            password = "%s" },
        })
        local threads, good = {}, 0
        for i = 1, %d do
          threads[i] = ngx.thread.spawn(function() return client:list_clusters() end)
        end
        for i = 1, #threads do
          local ok, clusters, message = ngx.thread.wait(threads[i])
          if ok and clusters then good = good + 1 else ngx.print(message) end
        end
        ngx.print(good)
      }
    }
  }
}
]]

local function load_modules(nginx, program)
  local lines = {}
  for i, path in ipairs(assert(nginx.find_modules(program))) do
    lines[i] = ("load_module %s;"):format(path)
  end
  return table.concat(lines, "\n")
end

local function start(dir)
  local nginx = require "cce.sim.nginx"
  local program = assert(nginx.find())
  local root = sys.realpath(".")
  local jit_path = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(root, root)
  simulator.write(dir .. "/nginx.conf", CONF:format(load_modules(nginx, program), jit_path,
    package.cpath:gsub("%./build", root .. "/build"), dir, sim.env.CCE_ENDPOINT,
    sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE, sim.project_id, simulator.agency.ak,
    sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE, sim.project_id,
    sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT, simulator.member.password, CALLS))
  os.execute("mkdir " .. dir .. "/tmp")
  local process = assert(sys.spawn {
    argv = { program, "-p", dir, "-c", "nginx.conf" }, stdin = "/dev/null",
    env = { "PATH=" .. os.getenv "PATH" }, stdout = dir .. "/log", stderr = dir .. "/log",
    die_with_parent = true,
  })
  return process
end

local function get(dir, path)
  local command = ("curl -sS --max-time 120 --unix-socket %s/socket http://localhost%s")
    :format(dir, path)
  local pipe = io.popen(command .. " 2>>" .. dir .. "/log")
  local text = pipe:read "*a"
  pipe:close()
  return text, simulator.read(dir .. "/log")
end

-- nginx has a LuaJIT inside: our module for LuaJIT or 5.1 is the one that it loads.
local is_51 = _VERSION == "Lua 5.1"

describe("a session", function()
  local now, steady, asked, events, given, client, session, provider

  -- What the source gives next: material, or an error code.
  local function source()
    asked = asked + 1
    if type(given) ~= "table" then return errors.fail(given, "no " .. asked) end
    local material = {}
    for name, value in pairs(given) do material[name] = value end
    for _, name in ipairs { "sk", "security_token", "token" } do
      if given[name] then material[name] = assert(core.secret(given[name])) end
    end
    given.made = material.sk or material.token
    return material
  end

  local function begin(material, fields, owned)
    given = material
    provider = providers.new("source", source, fields)
    session = sessions.new(client, provider, owned)
  end

  local function keys(fields)
    local material = { ak = "EXAMPLEAK", sk = "example-secret-key" }
    for name, value in pairs(fields or {}) do material[name] = value end
    return material
  end

  local function use(outcome)
    local auth, _, err = session:acquire()
    if auth then session:release(auth, outcome) end
    return auth, err
  end

  -- How often the source was asked by a use, so many seconds later.
  local function asks(seconds)
    now, steady = now + (seconds or 0), steady + (seconds or 0)
    local before = asked
    use()
    return asked - before
  end

  local function is_closed(secret)
    return not pcall(core.signer, { ak = "A", sk = secret })
  end

  before_each(function()
    breaker.forget()
    now, steady, asked, events = 1e9, 100, 0, {}
    client = {
      config = { endpoints = { all = {} } },
      monotonic = function() return steady end,
      now = function() return now end,
      emit = function(_, event) events[#events + 1] = event end,
    }
  end)

  after_each(breaker.forget)

  it("asks its source again when the keys are about to end, and no sooner", function()
    for _, row in ipairs {
      -- Seconds to their end, the margin, and to the renewal.
      { 100, nil, 40 }, { 100, 30, 70 }, { 40, nil, 30 }, { 60, nil, 45 },
    } do
      begin(keys { expires_at = now + row[1], margin = row[2] })
      assert.equal(1, asks())
      assert.equal(0, asks(row[3] - 1))
      assert.equal(1, asks(1))
    end
    begin(keys())
    assert.equal(1, asks())
    assert.equal(0, asks(1e9))
    begin(keys { expires_at = now - 1 })
    assert.equal(1, asks())
    assert.equal(1, asks())
  end)

  it("goes on with keys that cannot be renewed, until they end, and asks now and then", function()
    begin(keys { expires_at = now + 100 })
    local before = use()
    given = "TIMEOUT"
    now, steady = now + 41, steady + 41
    assert.equal(before, (use()))
    assert.equal(2, asked)
    assert.equal(0, asks(29))
    assert.equal(1, asks(1))
    assert(use())
    now = now + 100 - 71 - 6
    assert(use())
    now = now + 1
    local auth, err = use()
    assert.is_nil(auth)
    assert.equal("TIMEOUT", err.code)
    assert.equal("credentials_failed", events[#events].type)
  end)

  for code, pause in pairs {
    UNAUTHENTICATED = 300, ACCESS_KEY_LOCKED = 300, PERMISSION_DENIED = 60, NO_CREDENTIALS = 5,
    TIMEOUT = 0, SERVER_ERROR = 0,
  } do
    it(("does not ask for %d s after %s"):format(pause, code), function()
      begin(code)
      assert.equal(1, asks())
      assert.equal(pause > 0 and 0 or 1, asks(math.max(pause - 1, 0)))
      assert.equal(code, select(2, use()).code)
      assert.equal(1, asks(1))
      given = keys { expires_at = now + pause + 100 }
      asks(pause)
      -- What is good is used, whatever failed before.
      given = code
      assert.equal(1, asks(41))
      assert(use())
      assert.equal(1, asks(30))
      assert(use())
      given = keys()
      asks(pause + 31)
      assert.is_nil(session.failure)
    end)
  end

  it("asks once for new keys, and uses the old ones meanwhile", function()
    begin(keys { expires_at = now + 100 })
    local before, meanwhile = use(), nil
    now = now + 41
    provider.fetch = function()
      meanwhile = use()
      return source()
    end
    assert.not_equal(before, (session:identify()))
    assert.equal(before, meanwhile)
    assert.equal(2, asked)
  end)

  it("looks whether a file is another one: every ten seconds, at once after a refusal", function()
    local looks, replaced = 0, false
    local function is_replaced()
      looks = looks + 1
      return replaced
    end
    begin(keys { is_replaced = is_replaced })
    assert.equal(1, asks())
    assert.equal(0, asks(9))
    assert.equal(0, looks)
    assert.equal(0, asks(1))
    assert.equal(1, looks)
    replaced = true
    assert.equal(0, asks(9))
    assert.equal(1, asks(1))
    replaced = false
    asks()
    assert.equal(2, looks)
    use "refused"
    asks()
    assert.equal(3, looks)
    begin({ token = "example-token", is_replaced = is_replaced })
    use()
    asks(9)
    assert.equal(3, looks)
  end)

  it("asks at once when the file behind a failure is another one", function()
    local replaced = false
    provider = providers.new("source", function()
      asked = asked + 1
      local _, message, err = errors.fail("UNAUTHENTICATED", "no")
      err.is_replaced, err.incomplete = function() return replaced end, true
      return nil, message, err
    end)
    session = sessions.new(client, provider)
    assert.equal(1, asks())
    assert.equal(0, asks(1))
    replaced = true
    assert.equal(1, asks(1))
    local err = select(2, use())
    assert.is_nil(err.is_replaced)
    assert.is_nil(err.incomplete)
  end)

  it("wipes keys that were replaced once their last use has ended", function()
    for _, kind in ipairs { "signer", "token" } do
      begin(kind == "token" and { token = "example-token" } or keys(), { renewable = true })
      local first, second = session:acquire(), session:acquire()
      assert.equal(first, second)
      local secret = first[kind]
      assert.is_true(session:expire(first))
      local third = session:acquire()
      assert.not_equal(first, third)
      session:release(first)
      assert.is_truthy(first[kind])
      session:release(second)
      assert.is_nil(first[kind])
      if kind == "token" then
        assert.is_true(is_closed(secret))
      else
        assert.has_error(function() secret:signature("20260102T030405Z", "x") end)
      end
      assert.is_truthy(third[kind])
      session:release(third)
      assert.is_truthy(third[kind])
      assert.same({}, session.retired)
    end
  end)

  it("keeps nothing of what it was handed", function()
    begin(keys())
    use()
    assert.is_true(is_closed(given.made))
    for name, what in pairs { ak = "source: ak: ", sk = "source: sk: ", security_token = "" } do
      begin(keys { [name] = "with a line's end\n" })
      local err = select(2, use())
      assert.equal("INVALID_ARGUMENT", err.code)
      assert.equal(what, err.message:sub(1, #what))
      assert.is_true(is_closed(given.made))
    end
  end)

  it("that is closed wipes what it has, and takes nothing more", function()
    for _, owned in ipairs { true, false } do
      begin(keys(), { renewable = true, secrets = { core.secret "example" } }, owned)
      local first = session:acquire()
      session:expire(first)
      local second = session:acquire()
      assert.not_equal(first, second)
      session:close()
      assert.is_nil(first.signer)
      assert.is_nil(second.signer)
      assert.equal(owned, provider.closed or false)
      assert.is_false(session:expire(second))
      assert.is_false(session:replace(second))
      assert.is_nil((use()))
    end
    -- While its source is asked.
    begin(keys())
    provider.fetch = function()
      session:close()
      return source()
    end
    assert.equal("CLOSED", select(2, use()).code)
    assert.is_true(is_closed(given.made))
    assert.is_nil(session.auth)
  end)

  it("that is closed while good keys are renewed does not hand those out", function()
    begin(keys { expires_at = now + 100 })
    use()
    now = now + 50
    provider.fetch = function()
      session:close()
      return errors.fail("TIMEOUT", "too late")
    end
    assert.is_nil((session:identify()))
  end)

  it("hands out nothing that was replaced or wiped while it waited for its turn", function()
    local enter = breaker.enter
    for _, row in ipairs { { "expire", nil, 1 }, { "close", "CLOSED", 0 } } do
      begin(keys(), { renewable = true })
      local first, before = use(), asked
      breaker.enter = function(gate)
        breaker.enter = enter
        session[row[1]](session, first)
        return enter(gate)
      end
      local auth, err = use()
      breaker.enter = enter
      assert.not_equal(first, auth)
      assert.equal(row[2], err and err.code)
      assert.equal(row[3], asked - before)
      assert.equal(0, first.uses)
      assert.equal(0, breaker.gate("EXAMPLEAK", core.secret "example-secret-key").in_flight)
    end
  end)

  it("is not refused for a key that was replaced while it waited for its turn", function()
    local enter = breaker.enter
    begin(keys(), { renewable = true })
    local first = use()
    breaker.enter = function()
      breaker.enter = enter
      session:expire(first)
      assert(session:identify())
      return errors.fail("UNAUTHENTICATED", "not sent")
    end
    local auth, err = use()
    breaker.enter = enter
    assert.is_nil(err)
    assert.not_equal(first, auth)
    assert.equal(0, first.uses)
  end)

  it("makes another attempt of a refused key only with another one", function()
    local function replaced(before, after, fields)
      begin(before, fields)
      local auth = session:acquire()
      given = after
      local is_other = session:replace(auth)
      session:release(auth)
      return is_other or false
    end
    local other = keys { sk = "example-other-key" }
    assert.is_true(replaced(keys(), other))
    assert.equal("key_refused", events[#events - 1].type)
    assert.is_false(replaced(keys(), keys()))
    assert.is_false(replaced(keys(), "TIMEOUT"))
    assert.is_false(replaced(keys { constant = true }, other))
    assert.is_false(replaced(keys(), other, { constant = true }))
    local function token(is_new)
      return { token = "example-token", is_replaced = function() return is_new end }
    end
    assert.is_true(replaced(token(true), token(false)))
    assert.is_false(replaced(token(false), token(false)))
    assert.is_false(replaced(token(true), "TIMEOUT"))
    assert.is_false(replaced({ token = "example-token" }, { token = "example-token" }))
    -- Keys whose file is another one, with the same in it.
    local same = keys { is_replaced = function() return true end }
    assert.is_false(replaced(same, same))
    -- Somebody else has replaced it meanwhile: nobody is asked.
    begin(keys())
    local auth, before = session:acquire(), asked
    given = other
    session:replace(auth)
    assert.is_true(session:replace(auth))
    assert.equal(before + 1, asked)
    local current = session:acquire()
    provider.fetch = function()
      session:close()
      return source()
    end
    assert.is_false(session:replace(current))
  end)

  it("renews only what a source can renew", function()
    for _, row in ipairs {
      { keys { renewable = true }, nil, true }, { keys(), { renewable = true }, true },
      { keys(), nil, false },
    } do
      begin(row[1], row[2])
      local auth = session:acquire()
      assert.equal(row[3], session:expire(auth))
      session:release(auth)
      assert.equal(row[3] and 1 or 0, asks())
    end
  end)

  it("counts refusals of temporary keys on, when they are only renewed", function()
    local temporary = keys { security_token = "example-security-token", renewable = true }
    for _, row in ipairs {
      { temporary, true }, { keys { security_token = "example-security-token" }, false },
      { keys { renewable = true }, false },
    } do
      begin(row[1])
      local before = session:acquire()
      before.stale = true
      given.sk = "example-other-key"
      local after = session:acquire()
      assert.not_equal(before, after)
      assert.equal(row[2], before.gate == after.gate)
    end
  end)

  it("waits for nobody with a key that is stopped, and says so before the wait", function()
    begin(keys())
    assert.is_nil(session:refusal())
    assert.equal(0, asked)
    use "refused"
    local enter = breaker.enter
    breaker.enter = function() error "nobody waits to be told nothing" end
    assert.is_nil(session:refusal())
    breaker.enter = enter
    use "refused"
    local err = session:refusal()
    assert.equal("UNAUTHENTICATED", err.code)
    assert.is_nil(err.not_sent)
    assert.is_nil((use()))
    assert.equal(0, session.auth.uses)
    assert.equal(0, session.auth.gate.in_flight)
    -- But not with the one that has replaced it.
    local replaced = false
    begin(keys { is_replaced = function() return replaced end })
    use()
    given, replaced = keys { sk = "example-other-key" }, true
    assert.is_nil(session:refusal())
    assert.equal(0, session.auth.uses)
    assert.equal(0, session.auth.gate.in_flight)
    begin { token = "example-token" }
    use()
    assert.is_nil(session:refusal())
  end)

  it("takes IAM's address from where its keys are, unless it was given one", function()
    for _, named in ipairs { false, "https://given.example" } do
      client.config.endpoints = { all = {}, iam = named or nil }
      begin(keys { iam_endpoint = "https://iam.example" })
      use()
      assert.equal(named or "https://iam.example", client.config.endpoints.iam)
      assert.same(not named and { "https://iam.example" } or nil, client.config.endpoints.all.iam)
    end
    client.config.endpoints = { all = {} }
    begin(keys())
    use()
    assert.same({ all = {} }, client.config.endpoints)
  end)

  it("tells of keys that are new, and of nothing that everybody knows", function()
    local function told(fields, change, material)
      events = {}
      begin(material or keys(), fields)
      use()
      if change then
        session.auth.stale = true
        for name, value in pairs(change) do given[name] = value end
        use()
      end
      return #events
    end
    assert.equal(1, told())
    assert.equal(0, told { needs_nothing = true })
    assert.equal(1, told({}, {}))
    assert.equal(2, told({}, { sk = "example-other-key" }))
    assert.equal(1, told({ needs_nothing = true }, { sk = "example-other-key" }))
    assert.equal(2, told({}, {}, { token = "example-token" }))
    local temporary = keys { security_token = "example-security-token", renewable = true }
    assert.equal(2, told({}, { ak = "EXAMPLEOTHER" }, temporary))
    for _, row in ipairs {
      { keys(), nil, "source", "access key EXAMPLEAK" },
      { keys(), { ak = "EXAMPLEAK" }, "access key EXAMPLEAK", "access key EXAMPLEAK" },
      { { token = "example-token" }, nil, "source", "source" },
    } do
      begin(row[1], row[2])
      assert.equal(row[3], session:describe())
      use()
      assert.equal(row[4], session:describe())
    end
  end)
end)

describe("nginx #unchecked", function()
  local dir, process

  setup(function()
    if not is_51 then return end
    dir = sys.mkdir_private(tempdir.root .. "/cce-spec-XXXXXX")
    process = start(dir)
    local deadline = sys.monotonic() + 120
    while not sys.realpath(dir .. "/socket") and sys.monotonic() < deadline do sys.sleep(0.01) end
  end)

  teardown(function()
    if not is_51 then return end
    process:close()
    simulator.remove(dir)
  end)

  before_each(function() sim:reset() end)

  if is_51 then
    it("renews once for all calls", function()
      for _ = 1, 2 do
        local text, log = get(dir, "/")
        assert.equal(tostring(CALLS), text, log)
        sim:iam { expire = true }
      end
      assert.equal(2, #sim:log { operation = "create_token" })
    end)

    it("stops a refused key for all requests of the worker", function()
      assert.equal("38", (get(dir, "/refused")))
      assert.equal("40", (get(dir, "/refused")))
      assert.equal(2, #sim:log { operation = "list_clusters" })
    end)

    it("names the env directive when it finds nothing", function()
      local text, log = get(dir, "/none")
      assert.matches("no credentials were found", text, log)
      assert.matches("env HUAWEICLOUD_SDK_AK;", text)
    end)
  end
end)
