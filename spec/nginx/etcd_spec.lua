-- The schedule's store in etcd inside an nginx worker: it waits, and delays nobody else.
local etcd = require "spec.support.peer.etcd"
local nginx = require "spec.support.peer.nginx"

local HTTP = [[
location = /insert {
  content_by_lua_block {
    local place = os.getenv "SPEC_PLACE"
    app.store = app.store or assert(require("cce.schedule.etcd").open(place, { timeout = 60 }))
    app.say(app.outcome(app.store:insert(ngx.var.arg_id, "t", { state = "pending", due = 1 })))
  }
}
location = /open {
  content_by_lua_block { app.say(app.early) }
}
location = /else { return 204; }
]]

-- Where a call cannot wait it says so.
local INIT = [[
app.early = app.outcome(require("cce.schedule.etcd").open(os.getenv "SPEC_PLACE", {}))
]]

nginx.describe("the store of a schedule in etcd, inside nginx", function()
  if not etcd.has_etcd() then return pending "etcd is not installed" end

  local own, server, prefix

  before_each(function()
    own, prefix = etcd.start(), etcd.prefix()
    server = nginx.start { http = HTTP, init = INIT, env = { SPEC_PLACE = own:place(prefix) } }
  end)

  after_each(function()
    assert.equal("", server:complaints())
    server:close()
    own:stop()
  end)

  local function insert(from, count)
    return server:load(count, count, function(n)
      return { path = ("/insert?id=e%04d"):format(from + n) }
    end)
  end

  it("says in init_by_lua that it cannot wait there", function()
    local early = server:get("/open").json
    assert.equal("UNSUPPORTED", early.code)
    assert.matches("ngx.timer.at", early.message, nil, true)
  end)

  it("does many things at once", function()
    for _, answer in ipairs(insert(0, 50):finish()) do assert.is_true(answer.json.ok) end
    assert.equal(50, own:count(prefix .. "/entries/"))
  end)

  it("delays no other request while etcd does not answer", function()
    assert.is_true(insert(0, 1):finish()[1].json.ok)
    own:signal "SIGSTOP"
    local load = insert(100, 20)
    load:run(0.1)
    for _ = 1, 100 do
      assert.equal(204, server:get("/else").status)
      load:step(0)
    end
    assert.equal(0, #load.answers)
    own:signal "SIGCONT"
    for _, answer in ipairs(load:finish()) do assert.is_true(answer.json.ok) end
    assert.equal(21, own:count(prefix .. "/entries/"))
  end)
end)
