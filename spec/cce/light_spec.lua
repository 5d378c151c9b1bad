-- What a script that makes one call has to load.
local cce_path, cce_cpath = package.path, package.cpath
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not simulator.has_program "nginx" then
  describe("a script of one call", function() pending "needs nginx" end)
  return
end

describe("a script of one call", function()
  local sim

  before_each(function()
    sim = simulator.get()
    sim:reset()
  end)

  local function run(code)
    local words = { "env" }
    for name, value in pairs(sim.env) do words[#words + 1] = name .. "=" .. tempdir.quote(value) end
    words[#words + 1] = "LUA_PATH=" .. tempdir.quote(cce_path)
    words[#words + 1] = "LUA_CPATH=" .. tempdir.quote(cce_cpath)
    words[#words + 1] = tempdir.interpreter() .. " -e " .. tempdir.quote(code)
    return tempdir.check(table.concat(words, " "))
  end

  local function loaded_after(call)
    return run(([[
      local client = assert(require("cce").new {})
      local cluster = %q
      assert(%s)
      for name in pairs(package.loaded) do print(name) end]]):format(sim.clusters[1].id, call))
  end

  for what, call in pairs {
    rotation = [[client:rotate_credentials(cluster, { component = "all" })]],
    revocation = [[client:revoke_cert(cluster, { user_id = "b0000000000000000000000000000099" })]],
  } do
    it("loads nothing of kubeconfigs, YAML, the plugin or the command: a " .. what, function()
      local names = loaded_after(call)
      assert.matches("cce.client", names, 1, true)
      for _, name in ipairs { "kubeconfig", "yaml", "cce.exec", "cce.cli.",
        "cce.workflow", "cce.schedule", "cce.log", "cce.credentials.chain",
        "cce.text.table", "cce.text.page" } do
        assert.is_nil(names:find(name, 1, true), name)
      end
    end)
  end

  it("has loaded what an error and an answer need before they come", function()
    local output = run(([[
      local client = assert(require("cce").new { retry = { max_attempts = 1 } })
      local cluster, core = %q, require "cce.core"
      assert(client:list_clusters())
      -- As where no descriptor is left, or another version lies there by now.
      local function nothing(name) return "nothing may be opened any more" end
      local searchers = package.searchers or package.loaders
      for i = 1, #searchers do searchers[i] = nothing end
      local _, _, err = client:rotate_credentials("nosuch", { component = "all" })
      print(err.code)
      local _, _, denied = client:revoke_cert(cluster, { user_id = "u1" })
      print(denied and denied.code or "ok")
    ]]):format(sim.clusters[1].id))
    assert.matches("^%u[%u_]+\nok\n$", output)
    sim:fault { operation = "rotate_credentials", status = 500, body = "<html>\27[31m", times = 1 }
    output = run(([[
      local client = assert(require("cce").new { retry = { max_attempts = 1 } })
      client:list_clusters()
      local searchers = package.searchers or package.loaders
      for i = 1, #searchers do searchers[i] = function() return "nothing" end end
      local _, message, err = client:rotate_credentials(%q, { component = "all" })
      print(err.code, err.maybe_applied, message:find("\27", 1, true))
    ]]):format(sim.clusters[1].id))
    assert.equal("SERVER_ERROR\ttrue\tnil\n", output)
  end)
end)
