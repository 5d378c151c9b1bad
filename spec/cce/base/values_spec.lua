local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local values = require "cce.base.values"

-- In Turkish the capital of "i" is another than "I", and a host may have set that locale.
describe("letters", function()
  it("are changed by ASCII alone", function()
    assert.equal("iam \221\253 1_~", values.lower "IAM \221\253 1_~")
    assert.equal("IAM \221\253 1_`{", values.upper "iam \221\253 1_`{")
  end)

  it("are never judged by the host's locale #once", function()
    for path in tempdir.shell "find lua/cce -name '*.lua' ! -path '*/sim/*'":gmatch "[^\n]+" do
      local text = tempdir.read(path)
      for _, call in ipairs { ":lower()", ":upper()" } do
        assert.is_nil(text:find(call, 1, true), path .. ": " .. call)
      end
    end
  end)

  it("of a request's id, a service and a secret's name are found in Turkish", function()
    local dir = tempdir.new()
    if not simulator.has_program "localedef" or not tempdir.shell(
      ("localedef -i tr_TR -f ISO-8859-9 %s/tr_TR 2>&1 && echo done"):format(dir)):find "done" then
      tempdir.remove(dir)
      return pending "needs localedef and the sources of tr_TR"
    end
    local sim = simulator.get()
    sim:reset()
    tempdir.write(dir .. "/script.lua", [[
      -- LuaJIT asks no locale.
      assert(os.setlocale "tr_TR" and (jit or ("I"):lower() ~= "i"), "this is no Turkish")
      local client = assert(require("cce").new {})
      local cluster, _, err = client:show_cluster "no-such-cluster"
      print(err.request_id ~= nil)
      print(#assert(client:list_users()) > 0)
      print(require("cce.kubeconfig.redact").is_secret_name "PRIVATE")
    ]])
    local env = { "LUA_PATH=" .. package.path, "LUA_CPATH=" .. package.cpath, "LOCPATH=" .. dir,
      "HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4=" .. sim.env.CCE_ENDPOINT,
      "HUAWEICLOUD_SDK_REGION_IAM_CN_NORTH_4=" .. sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      "CCE_REGION=cn-north-4" }
    for _, name in ipairs { "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "CCE_CA_FILE" } do
      env[#env + 1] = name .. "=" .. sim.env[name]
    end
    env[#env + 1] = "HUAWEICLOUD_SDK_PROJECT_ID=" .. sim.project_id
    for _, name in ipairs { "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" } do
      if os.getenv(name) then env[#env + 1] = name .. "=" .. os.getenv(name) end
    end
    local process = assert(core.sys.spawn {
      argv = { simulator.interpreter(), dir .. "/script.lua" }, env = env, stdin = "/dev/null",
      stdout = dir .. "/out", stderr = dir .. "/out", die_with_parent = true,
    })
    process:wait(120)
    assert.equal("true\ntrue\ntrue\n", tempdir.read(dir .. "/out"))
    tempdir.remove(dir)
  end)
end)
