-- What it does inside nginx is shown by spec/nginx/schedule_spec.lua.
local cce = require "cce"

describe("cce.openresty", function()
  it("can be loaded anywhere, and says that it works inside nginx alone", function()
    local worker, message, err = cce.openresty.schedule { store = "etcd:http://127.0.0.1:2379/cce",
      client_for = function() end }
    assert.is_nil(worker)
    assert.equal("cce.openresty works inside nginx alone", message)
    assert.equal("UNSUPPORTED", err.code)
    assert.matches("schedule:run", err.hint, 1, true)
  end)

  -- The module as it is inside of an nginx that has no more than this.
  local function inside(nginx)
    local loaded = package.loaded["cce.openresty"]
    package.loaded["cce.openresty"] = nil
    rawset(_G, "ngx", nginx)
    local ok, fresh = pcall(require, "cce.openresty")
    rawset(_G, "ngx", nil)
    package.loaded["cce.openresty"] = loaded
    assert.is_true(ok, fresh)
    return fresh
  end

  local timers, logged

  local function start(opts)
    timers, logged = {}, {}
    local nginx = { ERR = "ERR", WARN = "WARN", NOTICE = "NOTICE", INFO = "INFO",
      log = function(...) logged[#logged + 1] = { ... } end,
      worker = { exiting = function() return false end },
      timer = { at = function(...)
        timers[#timers + 1] = { ... }
        return true
      end } }
    opts.client_for = function() end
    return assert(inside(nginx).schedule(opts))
  end

  it("opens nothing when it is told to stop before it began", function()
    local opened = false
    local worker = start { store = function()
      opened = true
      return nil, "no store"
    end }
    worker:stop()
    timers[1][2](false, timers[1][3])
    assert.same({ 0, 1, false }, { timers[1][1], #timers, opened })
  end)

  it("logs each event at its level, with all that tells which and why", function()
    local seen
    local worker = start { store = "etcd:x", on_event = function(event)
      seen = event
      return "answer"
    end }
    local event, expected = {}, ""
    for _, name in ipairs { "id", "kind", "cluster_id", "user_id", "agency_id", "clusters", "code",
      "message", "hint", "seconds", "late", "first_intent", "may_have_cut_newer", "next_try",
      "state", "request_id" } do
      event[name], expected = name, ("%s %s=%s"):format(expected, name, name)
    end
    for what, level in pairs { overdue = "ERR", missed = "ERR", quarantined = "ERR",
      store_unavailable = "ERR", failed = "WARN", lease_lost = "WARN", resent = "WARN",
      superseded = "WARN", store_available = "NOTICE", resumed = "NOTICE", done = "INFO" } do
      event.type = what
      assert.equal("answer", worker.opts.on_event(event))
      assert.same({ level, "cce schedule: " .. what .. expected }, logged[#logged])
      assert.equal(event, seen)
    end
  end)

  it("takes nothing that would end it before its worker", function()
    for name, value in pairs { once = true, until_idle = true, stop = function() end } do
      local ok, message = pcall(cce.openresty.schedule, { store = "etcd:http://127.0.0.1:2379/cce",
        client_for = function() end, [name] = value })
      assert.is_false(ok, name)
      assert.matches("runs for as long as its worker", message, 1, true)
    end
  end)
end)
