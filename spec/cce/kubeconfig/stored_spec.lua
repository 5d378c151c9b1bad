local core = require "cce.core"
local json = require "cce.base.json"
local kubeconfigs = require "cce.kubeconfig"
local probe = require "cce.kubeconfig.probe"
local stored = require "cce.kubeconfig.stored"
local tempdir = require "spec.support.tempdir"

local DAY = 86400

describe("cce.kubeconfig.stored", function()
  it("wants a third of a life to remain, but seven days at most, and less than a life", function()
    for _, case in ipairs { { { expire_at = 4000 }, 1000 }, { { duration = 3 }, DAY },
      { { expire_at = 900 }, 0 }, { { expire_at = 900, min_remaining = 0 }, 0 },
      { { expire_at = 4000.25, min_remaining = 3000.5 } }, { { duration = 1,
        min_remaining = math.huge } },
      { { duration = -1 }, 7 * DAY }, { { expire_at = 4000, min_remaining = 2999 }, 2999 },
      { { expire_at = 4000, min_remaining = 3000 } },
      { { duration = -1, min_remaining = 1825 * DAY } }, { {} } } do
      local rule, _, err = stored.rule(case[1], 1000)
      assert.equal(case[2], rule and rule.min_remaining)
      assert.equal(not case[2] and "INVALID_ARGUMENT" or nil, err and err.code)
    end
  end)

  it("renews at the end, and as soon as less than the least remains", function()
    for _, case in ipairs { { 100, 0, "it has expired" }, { 99, 0 }, { 90, 10 },
      { 91, 10, "it ends soon" }, { 101, 10, "it has expired" } } do
      assert.equal(case[3], stored.due({ key_matches = true, not_after = 100 }, nil,
        { now = case[1], min_remaining = case[2] }))
    end
  end)

  -- What a file holds whose one context is marked so.
  local function holdings_of(mark, text)
    local dir = tempdir.new()
    tempdir.write(dir .. "/config", text or json.encode { kind = "Config", apiVersion = "v1",
      clusters = { { name = "other", cluster = {} } }, users = { { name = "mine", user = {} } },
      contexts = { { name = "mine", context = { cluster = "mine", user = "mine",
        extensions = { { name = "lua-cce", extension = mark } } } } } })
    local holdings, message = stored.read(dir .. "/config", os.time)
    tempdir.remove(dir)
    return assert(holdings, message)
  end

  it("takes the name of a user or a context for no cluster's", function()
    local holdings = holdings_of { set = "mine", cluster_id = "c1" }
    assert.equal("c1", holdings.names.mine)
    assert.is_nil(stored.alone(holdings, "c2"))
    assert.is_table(holdings_of({ set = "plain", cluster_id = "c1" }).by_id.c1)
    local facts, message = stored.facts_of(holdings, "c1")
    assert.is_nil(facts)
    assert.equal("its context names no cluster that there is", message)
    holdings.clusters.mine, holdings.by_id.c1.context = true, "gone"
    facts, message = stored.facts_of(holdings, "c1")
    assert.is_nil(facts)
    assert.equal("its context names no user that there is", message)
  end)

  it("takes a context for another's whose mark is not whole, and knows its name", function()
    for _, mark in ipairs { { set = "mine" }, { cluster_id = "c1" }, { set = 1, cluster_id = "c1" },
      { set = "mine", cluster_id = 1 }, { set = "mine", cluster_id = true } } do
      local holdings = holdings_of(mark)
      assert.same({ true, {} }, { holdings.others, holdings.by_id })
    end
    assert.is_false(holdings_of({ set = "mine" }).names.mine)
    assert.is_true(holdings_of().others)
  end)

  it("uses the context with the plain name of a set, and the first where none has it", function()
    local function context_of(...)
      local data = { kind = "Config", apiVersion = "v1", contexts = {},
        clusters = { { name = "c", cluster = { server = "https://c" } } },
        users = { { name = "u", user = { token = "example" } } } }
      for i, name in ipairs { ... } do
        data.contexts[i] = { name = name, context = { cluster = "c", user = "u", extensions = {
          { name = "lua-cce", extension = { set = "prod", cluster_id = "c1" } } } } }
      end
      local holdings = holdings_of(nil, json.encode(data))
      assert.is_nil(stored.of(holdings, "c2"))
      assert.is_nil(stored.alone(holdings, "c2"))
      local name = holdings.by_id.c1.context
      assert.equal(name, json.decode(stored.of(holdings, "c1").raw)["current-context"])
      assert.equal(1, #stored.alone(holdings, "c1"):contexts())
      assert.same({ c = true }, holdings.clusters)
      assert.is_nil(holdings.others)
      return name
    end
    assert.equal("prod", context_of("prod", "prod-external"))
    assert.equal("prod", context_of("prod-external", "prod"))
    assert.equal("prod-external", context_of("prod-external", "prod-internal"))
  end)

  it("knows of which clusters kubectl asks the command for certificates", function()
    local text = tempdir.read "spec/fixtures/kubeconfig_eip.json"
    local id = "c1050000-0000-4000-8000-000000000001"
    local config = assert(kubeconfigs.parse(text, { cluster_id = id }))
    assert.same({}, holdings_of(nil, config.raw).commands)
    assert.same({ [id] = true }, holdings_of(nil, config:with_command({}).raw).commands)
    -- Of two sets that with a key is looked after, whichever stands first.
    local key, plugin = { kubeconfig = config, name = "key" },
      { kubeconfig = config:with_command {}, name = "plugin" }
    for _, row in ipairs { { key, plugin }, { plugin, key }, { plugin } } do
      local dir = tempdir.new()
      assert(kubeconfigs.merge(dir .. "/config", row))
      local holdings = holdings_of(nil, tempdir.read(dir .. "/config"))
      tempdir.remove(dir)
      assert.equal(#row == 2 and "key" or "plugin", holdings.by_id[id].set)
      assert.equal(#row == 1 or nil, holdings.commands[id])
      assert.equal(#row == 2, (stored.facts_of(holdings, id)) ~= nil)
    end
  end)

  it("renews what cannot be used as it is", function()
    local rule = { now = 1, min_remaining = 0 }
    assert.equal("nobody can read it", stored.due(nil, "nobody can read it", rule))
    for _, case in ipairs { { true, nil }, { false, "its key does not match its certificate" },
      { nil, "it has no private key" } } do
      assert.equal(case[2], stored.due({ key_matches = case[1], not_after = 9 }, nil, rule))
    end
    rule.renew = true
    assert.equal("a new one is asked for",
      stored.due({ key_matches = true, not_after = 9 }, nil, rule))
  end)

  it("obtains none whose certificate cannot be read, or has another key", function()
    local facts, reason = nil, "unreadable"
    local config = { certificate = function() return facts, reason end }
    local function obtain()
      return stored.obtain({ obtain_cert = function() return config end }, "c1", {})
    end
    local got, message, err = obtain()
    assert.same({ nil, "unreadable", nil }, { got, message, err })
    facts = { key_matches = false }
    got, message, err = obtain()
    assert.same({ nil, "KEY_MISMATCH" }, { got, err.code })
    assert.matches("does not belong to the certificate", message, 1, true)
    facts = { key_matches = true }
    got, message = obtain()
    assert.same({ config, facts }, { got, message })
  end)

  it("waits for what the cluster refuses at first, and says what it refuses at last", function()
    local look, wait_until = probe.look, probe.wait_until
    local waits
    finally(function() probe.look, probe.wait_until = look, wait_until end)
    local WORKS, UNCLEAR = { state = "works", text = "t" }, { state = "unclear", text = "t" }
    local REFUSED = { state = "refused", text = "t" }
    local FOREIGN = { state = "unclear", untrusted = true, text = "t" }
    for _, row in ipairs {
      -- What is seen first and last, how often it is waited for, and what comes of it.
      { WORKS, nil, 0, "works", "t" }, { UNCLEAR, nil, 0, "not asked", "t" },
      { REFUSED, WORKS, 1, "works", "t" }, { FOREIGN, WORKS, 1, "works", "t" },
      { REFUSED, UNCLEAR, 1, "not asked", "t" },
      { REFUSED, REFUSED, 1, nil, "the cluster refuses it (t)" },
      { REFUSED, FOREIGN, 1, nil, "it does not trust the cluster: t" },
    } do
      waits = 0
      function probe.look() return row[1] end
      function probe.wait_until(_, _, state)
        assert.equal("works", state)
        waits = waits + 1
        return row[2]
      end
      local answer, message, err = stored.ask_new({}, {})
      assert.equal(row[3], waits)
      if row[4] then
        assert.same({ state = row[4], text = row[5] }, answer)
      else
        assert.same({ nil, "INVALID_CERTIFICATE", false }, { answer, err.code, err.retryable })
        assert.matches(row[5], message, 1, true)
      end
    end
    assert.is_nil(stored.refusal(nil))
  end)

  it("does nothing while another renews the file, or where that cannot be known", function()
    local dir, done = tempdir.new(), 0
    finally(function() tempdir.remove(dir) end)
    local function act()
      done = done + 1
      return done, nil, "third"
    end
    assert.same({ 1, nil, "third" }, { stored.locked(dir .. "/config", 0, act) })
    assert.has_error(function()
      stored.locked(dir .. "/config", 0, function() error("no", 0) end)
    end, "no")
    local other = assert(core.file.lock(dir .. "/config.renewal", { timeout = 0 }))
    local none, message, err = stored.locked(dir .. "/config", 0, act)
    assert.same({ nil, "TIMEOUT" }, { none, err.code })
    assert.matches("another process is renewing", message)
    other:close()
    assert.equal("FILE_ERROR", select(3, stored.locked(dir .. "/none/config", 0, act)).code)
    assert.equal(1, done)
    assert.equal(2, (stored.locked(dir .. "/config", 0, act)))
  end)

  it("does not take a file that it cannot look at, or read, for none", function()
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    tempdir.write(dir .. "/config", "")
    local none, _, err = stored.read(dir .. "/config/below", os.time)
    assert.same({ nil, "FILE_ERROR" }, { none, err.code })
    tempdir.write(dir .. "/config", "{")
    none, _, err = stored.read(dir .. "/config", os.time)
    assert.same({ nil, "FILE_ERROR" }, { none, err.code })
    -- But what is not there is none.
    assert.is_nil(assert(stored.read(dir .. "/none", os.time)).config)
  end)

  it("takes an empty file for none", function()
    assert.is_nil(holdings_of(nil, "").config)
  end)
end)
