local cce = require "cce"
local complete = require "cce.repl.complete"

-- As readline breaks words.
local function candidates(line, env, names)
  local from = #line
  while from > 0 and not line:sub(from, from):find "[ \t\n\"\\'`@$><=;|&{(]" do from = from - 1 end
  return complete.candidates(line, from + 1, #line, {
    env = setmetatable(env or {}, { __index = _G }),
    clusters = function() return names or {} end,
    id_of = function(name) return name == "dev" and "id-of-dev" or nil end,
    original = function(fn) return fn end,
  })
end

describe("cce.repl.complete", function()
  local env

  before_each(function()
    local client = cce.new { region = "cn-north-4", project_id = "p",
      credentials = { ak = "AKEXAMPLE", sk = "not-a-real-key" } }
    env = { cce = cce, client = client, wrapped = { cce = cce } }
  end)

  it("offers globals and words of Lua", function()
    assert.same({ "client" }, candidates("cli", env))
    assert.same({ "client" }, candidates("print(cli", env))
    assert.same({ "function" }, candidates("func", env))
    assert.same({}, candidates("no_such", env))
  end)

  it("offers the client before it was made, and the globals behind the prompt's own", function()
    local hidden = setmetatable({}, { __index = function(_, name) return _G[name] end })
    assert.same({ "client" }, complete.candidates("cli", 1, 3, { env = hidden }))
    assert.same({ "tostring" }, complete.candidates("tostr", 1, 5, { env = hidden }))
    assert.same({ "_VERSION" }, complete.candidates("_V", 1, 2, { env = hidden }))
  end)

  it("offers the documented methods of an object", function()
    assert.same({ "client:retry_node_rotation", "client:revoke_cert" },
      candidates("client:re", env))
    assert.same({ "client:show_cluster", "client:show_job" }, candidates("x = client:sh", env))
    assert.same({}, candidates("client:set_clock", env))
  end)

  it("offers the functions alone of what the manual does not have", function()
    env.text, env.mine = "abc", { run = print, runs = 5, rung = {} }
    assert.same({ "text:lower" }, candidates("text:lo", env))
    assert.same({ "mine:run" }, candidates("mine:ru", env))
    assert.same({ "mine.run", "mine.rung", "mine.runs" }, candidates("mine.ru", env))
  end)

  it("offers fields, also those of modules that are not loaded yet", function()
    assert.same({ "cce.workflow" }, candidates("cce.workf", env))
    assert.same({ "cce.workflow.restore", "cce.workflow.revoke", "cce.workflow.rotate" },
      candidates("cce.workflow.r", env))
    assert.same({ "wrapped.cce.expiry" }, candidates("wrapped.cce.expi", env))
    assert.same({}, candidates("no.such.thing", env))
    assert.same({}, candidates("cce.new.x", env))
  end)

  it("keeps what stands before the name in one word", function()
    assert.same({ "a,client:show_cluster" }, candidates("f(a,client:show_c", env))
    assert.same({ "-client" }, candidates("-cli", env))
  end)

  it("offers the options of the call", function()
    assert.same({ "user_id = " }, candidates("client:revoke_cert(id, { us", env))
    assert.same({ "canary = " }, candidates("cce.workflow.rotate(client, { run = 1, cana", env))
    assert.same({ "label = " }, candidates("cce.progress { la", env))
    assert.same({ "user_id = " }, candidates("client:revoke_cert(f({ 1 }, t[2]), { us", env))
    assert.same({ "region = ", "retry = " }, candidates("cce.new {re", env))
    assert.same({ "path = " }, candidates("cce.ensure_cert(client, 'id (x', { pa", env))
  end)

  it("offers values after '=', not options", function()
    assert.same({ "client" }, candidates("cce.workflow.rotate({ x = cli", env))
  end)

  it("offers clusters inside quotes", function()
    local names = { "prod-1", "prod-2", "dev" }
    assert.same({ "prod-1", "prod-2" }, candidates('client:show_cluster("pr', env, names))
    assert.same({ "dev", "prod-1", "prod-2" }, candidates("f(client, 'a', \"", env, names))
    assert.same({}, candidates('print("x") cl_', env, names))
    assert.same({ "prod-1", "prod-2" }, candidates([[f("a\"b", "pr]], env, names))
    assert.same({}, candidates([[f("a\\", cl_]], env, names))
    -- What is found is put in as the calls want it.
    assert.same({ "id-of-dev" }, candidates('client:show_cluster("de', env, names))
    assert.same({ "dev" }, candidates('f({ name = "de', env, names))
    assert.same({ "prod-1" }, candidates('f("prod-1', env, names))
  end)

  it("survives objects whose fields raise", function()
    env.bad = setmetatable({}, { __index = function() error "no" end })
    assert.same({}, candidates("bad.x", env))
    assert.same({}, candidates("bad:x", env))
  end)
end)
