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

  it("opens nothing when it is told to stop before it began", function()
    local timers, opened = {}, false
    local loaded = package.loaded["cce.openresty"]
    package.loaded["cce.openresty"] = nil
    rawset(_G, "ngx", { worker = { exiting = function() return false end }, timer = {
      at = function(...)
        timers[#timers + 1] = { ... }
        return true
      end } })
    local ok, fresh = pcall(require, "cce.openresty")
    rawset(_G, "ngx", nil)
    package.loaded["cce.openresty"] = loaded
    assert.is_true(ok, fresh)
    local worker = assert(fresh.schedule { client_for = function() end, store = function()
      opened = true
      return nil, "no store"
    end })
    worker:stop()
    timers[1][2](false, timers[1][3])
    assert.same({ 0, 1, false }, { timers[1][1], #timers, opened })
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
