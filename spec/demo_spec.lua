-- The demo is the first thing that a newcomer sees, so it must never break.
local support = require "spec.support.sim"
local sys = require("cce.core").sys

local function run_demo(env)
  local out = os.tmpname()
  os.remove(out)
  local argv = { "env" }
  for _, setting in ipairs(env) do argv[#argv + 1] = setting end
  argv[#argv + 1] = support.interpreter()
  argv[#argv + 1] = "examples/demo.lua"
  local process = assert(sys.spawn {
    argv = argv, stdin = "/dev/null", stdout = out, stderr = out, die_with_parent = true,
  })
  local status = process:wait(120)
  local text = support.read(out)
  os.remove(out)
  return status, text
end

describe("make demo", function()
  local status, text

  setup(function()
    if support.has_program("nginx") then status, text = run_demo {} end
  end)

  local function story()
    if not status then pending("nginx is missing: libnginx-mod-http-lua") end
    return text
  end

  it("goes well", function()
    local told = story()
    assert.equal(0, status, told)
    assert.matches("That is all.", told, 1, true)
  end)

  it("obtains, rotates and revokes, with kubectl as the judge", function()
    local told = story()
    assert.matches("obtain  6/6  100%", told, 1, true)
    assert.matches("RotateClusterCredentials", told, 1, true)
    if support.has_program("kubectl") then
      assert.equal(2, select(2, told:gsub("kubectl works", "")) - 1)
      assert.equal(2, select(2, told:gsub("kubectl is refused", "")))
      assert.matches("must be logged in to the server (Unauthorized)", told, 1, true)
    end
  end)

  it("shows what an error looks like", function()
    assert.matches("so the secret key is wrong", story(), 1, true)
  end)

  it("prints no colours into a file, and no secret at all", function()
    local told = story()
    assert.is_nil(told:find("\27", 1, true))
    assert.is_nil(told:find(support.admin.sk, 1, true))
    assert.is_nil(told:find("PRIVATE KEY", 1, true))
  end)

  it("leaves nothing behind", function()
    story()
    local dir = text:match("simulated cloud in (/%S-/cce%-demo%-%w+)")
    assert.is_nil(io.open(dir .. "/sim/env"))
  end)
end)
