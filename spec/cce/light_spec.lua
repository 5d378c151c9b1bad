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
        "cce.workflow", "cce.schedule", "cce.log", "cce.credentials.chain", "cce.text",
        "cce.api.hint", "cce.api.response" } do
        assert.is_nil(names:find(name, 1, true), name)
      end
    end)
  end
end)
