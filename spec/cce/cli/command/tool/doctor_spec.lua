local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("cce doctor", function() pending "needs nginx and argparse" end)
  return
end

describe("cce doctor", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  it("is content with a good set-up", function()
    local result = world:cce { "doctor" }
    assert.equal(0, result.code)
    assert.matches("\nok +permissions ", result.out)
    local report = json.decode(world:cce({ "doctor", "-o", "json" }).out)
    assert.is_true(report.ok)
    assert.equal(10, #report.checks)
  end)

  it("shows its table where it is not known where CCE is", function()
    local nowhere = { CCE_ENDPOINT = "", CCE_REGION = "", HUAWEICLOUD_SDK_IAM_ENDPOINT = "" }
    local result = world:cce({ "doctor" }, { env = nowhere })
    assert.equal(1, result.code)
    assert.matches("\nFAILED +region +it is not known where CCE is\n", result.out)
    assert.matches("\n%- +credentials? +access key %S+, not tried\n", result.out)
    assert.matches("\nregion: Give --region cn-north-4 or --endpoint https://", result.out, 1, true)
    assert.is_nil(result.out:find('="', 1, true))
    result = world:cce({ "--region", "cn-north-44", "doctor", "-o", "name" }, { env = nowhere })
    assert.same({ code = 1, out = "region\n",
      err = "cce configure asks for region and keys, and writes them down\n" }, result)
  end)

  it("says what to type for what is missing", function()
    local result = world:cce({ "doctor" }, { env = { HUAWEICLOUD_SDK_STS_ENDPOINT = "",
      HUAWEICLOUD_SDK_AK = "", HUAWEICLOUD_SDK_SK = "" } })
    assert.equal(1, result.code)
    assert.matches("credentials: Give credentials = … in the profile or --token-file …", result.out,
      1, true)
    result = world:cce({ "doctor" }, { env = { HUAWEICLOUD_SDK_STS_ENDPOINT = "" } })
    assert.equal(0, result.code)
    assert.matches("sts: Give sts_endpoint = https://… in the profile", result.out, 1, true)
  end)

  it("ends with 1 and names what is wrong", function()
    local result = world:cce({ "doctor", "-o", "name" }, { env = { CCE_CA_FILE = "" } })
    assert.same({ code = 1, out = "tls\n", err = "" }, result)
  end)
end)
