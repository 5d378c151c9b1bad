local cce = require "cce"
local host = require "cce.host"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local tempdir = dofile "spec/support/tempdir.lua"
local who = require "cce.cli.who"

local DAY = 86400
local ISSUED = 1795219200 -- of the fixtures: 2026-11-21, for 30 days
local USER_ID = "0123456789abcdef0123456789abcdef"
local EIP = tempdir.read "spec/fixtures/kubeconfig_eip.json"

describe("cce.expiry", function()
  local dir

  before_each(function()
    dir = tempdir.new()
  end)

  after_each(function()
    tempdir.remove(dir)
  end)

  local function expiry(paths, days)
    return cce.expiry(paths, { clock = function() return ISSUED + (days or 5) * DAY end })
  end

  local function put(name, text)
    tempdir.write(dir .. "/" .. name, text or EIP)
    return dir .. "/" .. name
  end

  it("says who, which cluster, until when, and whether the key matches", function()
    local path = put "prod.json"
    local entries = expiry(path)
    assert.equal(1, #entries)
    local entry = entries[1]
    assert.equal(path, entry.path)
    assert.equal(USER_ID, entry.user_id)
    assert.is_true(entry.key_matches)
    assert.equal(25 * DAY, entry.remaining)
    assert.is_false(entry.expired)
    assert.equal("external", entry.context)
    assert.equal(3, #entry.contexts)
    assert.matches("^https://", entry.server)
    assert.is_nil(entry.err)
  end)

  it("shows no password of a server's address", function()
    for _, address in ipairs { "https://user:%s@192.0.2.1:5443", "user:%s@192.0.2.1:5443",
      "https:u:%s@192.0.2.1:5443", "https://u:%s/x@192.0.2.1:5443", "//u:%s@192.0.2.1:5443",
      "https://192.0.2.1:5443/?token=%s" } do
      local data = json.decode(EIP)
      for _, each in ipairs(data.clusters) do
        each.cluster.server = address:format "not-a-real-password"
      end
      local path = put("prod.json", json.encode(data))
      local entries = expiry(path)
      local shown = json.encode(setmetatable(entries[1], nil)) .. tostring(entries)
        .. tostring(kubeconfig.load(path):contexts())
      for _, row in ipairs(who.look({ path }, { check = true })) do
        row.ask = nil
        shown = shown .. who.text(row) .. json.encode(row)
      end
      assert.matches("192.0.2.1:5443", shown, 1, true)
      assert.is_nil(shown:find("real-password", 1, true), shown)
    end
  end)

  it("names the cluster where a merge noted it", function()
    local path = dir .. "/config"
    assert(kubeconfig.parse(EIP, { cluster_id = "cluster-1" })
      :save(path, { merge = true, name = "prod" }))
    local entry = expiry(path)[1]
    assert.equal("cluster-1", entry.cluster_id)
    assert.equal("prod", entry.context)
  end)

  it("takes files, directories and patterns, each file once", function()
    put "a.json"
    put "b.json"
    for _, beside in ipairs { ".bak", ".lock", "~" } do put("b.json" .. beside) end
    put ".hidden"
    tempdir.shell("mkdir " .. dir .. "/sub")
    put "sub/c.json"
    assert.equal(2, #expiry(dir))
    assert.equal(2, #expiry { dir, dir .. "/a.json", dir .. "/*.json" })
    assert.equal(1, #expiry(dir .. "/*/*.json"))
    assert.equal(1, #expiry(dir .. "/[a].json"))
    tempdir.shell(("mkdir '%s/[x]'"):format(dir))
    put "[x]/d.json"
    assert.equal(1, #expiry(dir .. "/[x]"))
  end)

  it("makes an entry of each file that cannot be used, after the others", function()
    put("bad.json", "{")
    put("empty.json", "")
    put("users.json", json.encode { users = json.array() })
    put "good.json"
    put("key.json", json.encode((function()
      local data = json.decode(EIP)
      data.users[1].user["client-key-data"] = "bm8ga2V5"
      return data
    end)()))
    local entries = expiry { dir, dir .. "/nothing.json", "/nowhere/*" }
    assert.equal(7, #entries)
    assert.is_nil(entries[1].err)
    for i = 2, 7 do
      assert.is_string(entries[i].message)
      assert.is_string(entries[i].err.code)
    end
  end)

  it("names users that have something else where nobody has a certificate", function()
    put("exec.json", json.encode { users = { { name = "x", user = { token = "t" } } } })
    local entries = expiry(dir)
    assert.equal(1, #entries)
    assert.equal("x", entries[1].user)
    assert.matches("it uses token", entries[1].message, 1, true)
    assert.is_nil(entries[1].err)
    put("good.json")
    assert.equal(2, #expiry(dir))
  end)

  it("says what the plugin keeps, that it keeps nothing, or why that is not known", function()
    local path = put("plugin.json", json.encode { users = { { name = "x",
      user = { exec = { args = { "credential", "--cluster", "c1" } } } } } })
    local lists = { { {}, "no certificate is kept; the next kubectl obtains one" },
      { {}, "no list", require("cce.error").new("FILE_ERROR", "no list") } }
    for _, row in ipairs(lists) do
      local entries = cce.expiry(path, { kept = function()
        return row[1], row[3] and row[2], row[3]
      end })
      assert.same({ "cce credential", row[2], row[3] },
        { entries[1].holder, entries[1].message, entries[1].err })
    end
  end)

  it("does not pass for having asked where no call can wait", function()
    local current = host.current
    finally(function() host.current = current end)
    function host.current()
      return { check = function() return nil, "nothing can wait here" end }
    end
    local entries, message, err = cce.expiry(put("one.json"), { check = true })
    assert.same({ nil, "nothing can wait here", "UNSUPPORTED" }, { entries, message, err.code })
  end)

  it("sorts by expiry", function()
    local pki = require "spec.support.peer.pki"
    assert.is_table(pki)
    put "a.json"
    local config = dir .. "/config"
    for _, name in ipairs { "one", "two" } do
      assert(kubeconfig.parse(EIP):save(config, { merge = true, name = name }))
    end
    local entries = expiry { dir }
    for i = 2, #entries do
      assert.is_true(entries[i - 1].not_after <= entries[i].not_after)
    end
    assert.equal(3, #entries)
  end)

  it("prints as a table, without a secret or a control character", function()
    put "prod.json"
    put("bad\27[31m.json", "{")
    local text = tostring(expiry(dir))
    assert.matches("UNTIL", text, 1, true)
    assert.matches("2026-12-21T00:00:00Z  25 d  " .. USER_ID, text, 1, true)
    assert.matches("matches", text, 1, true)
    assert.matches("it is cut off", text, 1, true)
    assert.is_nil(text:find("\27", 1, true))
    assert.is_nil(text:find("PRIVATE", 1, true))
    assert.matches("EXPIRED", tostring(expiry(dir, 40)), 1, true)
    assert.matches(" 24 h ", tostring(expiry(dir, 29)), 1, true)
    assert.matches(" 60 min ", tostring(expiry(dir, 30 - 1 / 24)), 1, true)
    assert.equal("no certificates", tostring(expiry {}))
  end)

  it("prints what is wrong with the file that it is in, named once", function()
    for text, expected in pairs { ["{"] = "cannot use 'PATH' as a kubeconfig: %S.*",
      [json.encode { users = json.array() }] = "there is no client certificate in 'PATH'",
      [json.encode { users = { { name = "x", user = { ["client-certificate-data"] = "5" } } } }] =
        "PATH: .*" } do
      put("a.json", text)
      local path = (dir .. "/a.json"):gsub("%p", "%%%0")
      local entries = expiry(dir)
      for _, shown in ipairs { tostring(entries), tostring(entries[1]) } do
        assert.matches("^" .. expected:gsub("PATH", (path:gsub("%%", "%%%%"))) .. "$", shown)
        assert.equal(1, select(2, shown:gsub(path, "")))
      end
    end
  end)

  it("raises on wrong use", function()
    assert.has_error(function() cce.expiry(1) end)
    assert.has_error(function() cce.expiry { 1 } end)
    -- What stands behind a gap would not be looked at.
    assert.has_error(function() cce.expiry { "/a", nil, "/b" } end)
    assert.has_error(function() cce.expiry({}, { clok = os.time }) end)
  end)

  it("says for each wrong use where it was called", function()
    local here = debug.getinfo(1, "S").short_src
    for _, arguments in ipairs { { 1 }, { { 1 } }, { {}, { clok = os.time } } } do
      local ok, problem = pcall(function()
        local entries = cce.expiry(arguments[1], arguments[2])
        return entries
      end)
      assert.is_false(ok)
      assert.equal(here, problem:match "^(.-):%d+: ")
    end
  end)
end)
