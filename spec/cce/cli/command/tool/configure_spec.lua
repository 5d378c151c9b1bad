local command = require "spec.support.command"
local configure = require "cce.cli.command.tool.configure"
local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local terminals = require "spec.support.terminal"

describe("the file of profiles", function()
  it("gets a profile, and keeps every other line", function()
    local settings = { { "region", "cn-north-4" }, { "credentials", "profile-file" } }
    assert.equal("[default]\nregion = cn-north-4\ncredentials = profile-file\n",
      configure.with_profile("", "default", settings))
    assert.equal("# mine\n[a]\nregion = x\n\n[default]\nregion = cn-north-4\n"
      .. "credentials = profile-file\n",
      configure.with_profile("# mine\n[a]\nregion = x\n", "default", settings))
    assert.equal("[default]\nregion = cn-north-4\ncredentials = profile-file\n# why\ntimeout = 5\n"
      .. "[a]\nregion = x\n", configure.with_profile(
        "[default]\n# why\nregion = old\ntimeout = 5\n[a]\nregion = x\n", "default", settings))
    assert.equal("[basic]\nak = new\n", configure.with_profile(
      "[basic]\nak = old\nsecurity_token = old\n", "basic", { { "ak", "new" },
        { "security_token" } }))
  end)

  it("gets it in the place of the same settings, however they are written", function()
    local keys = { { "ak", "new" } }
    for _, text in ipairs { "[basic]\nAK: old\n", "[basic] ; mine\nak=old\n",
      "\239\187\191[basic]\nak = old\n", "[ basic ]\r\n  Ak : old\r\n", "[basic]\rak = old\r" } do
      local written = configure.with_profile(text, "basic", keys)
      assert.is_nil(written:find("old", 1, true), text)
      assert.equal(1, select(2, written:gsub("basic", "")))
      assert.matches("\nak = new\n", written)
    end
  end)
end)

if not (simulator.has_program "nginx" and simulator.has_program "tmux"
  and pcall(require, "argparse")) then
  describe("cce configure", function() pending "needs nginx, tmux and argparse" end)
  return
end

describe("cce configure", function()
  local sim, world, terminal

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new { env = {
      HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4 = sim.env.CCE_ENDPOINT,
      HUAWEICLOUD_SDK_REGION_CCE_EU_DE = sim.env.CCE_ENDPOINT,
      HUAWEICLOUD_SDK_IAM_ENDPOINT = sim.env.HUAWEICLOUD_SDK_IAM_ENDPOINT,
      HUAWEICLOUD_SDK_PROJECT_ID = sim.project_id, CCE_CA_FILE = sim.env.CCE_CA_FILE,
    } }
  end)

  after_each(function()
    if terminal then terminal:close() end
    terminal = nil
    world:remove()
  end)

  it("asks, writes two files, shows no secret, and ends with the doctor", function()
    terminal = terminals.new(world, 160)
    terminal:start "cce configure"
    terminal:wait "Region: "
    terminal:type "nowhere"
    terminal:wait "no region that is known"
    terminal:type "cn-north-4"
    terminal:wait "Access key"
    terminal:type(sim.env.HUAWEICLOUD_SDK_AK)
    terminal:wait "Secret key"
    terminal:type(sim.env.HUAWEICLOUD_SDK_SK)
    local _, code = terminal:finish()
    local shown = terminal:history()
    assert.equal(0, code, shown)
    assert.matches("ok  credentials", shown, 1, true)
    assert.is_nil(shown:find(sim.env.HUAWEICLOUD_SDK_SK, 1, true))
    local keys = world.dir .. "/.huaweicloud/credentials"
    assert.equal(("[basic]\nak = %s\nsk = %s\n"):format(sim.env.HUAWEICLOUD_SDK_AK,
      sim.env.HUAWEICLOUD_SDK_SK), tempdir.read(keys))
    assert.equal("0600", tostring(core.file.stat(keys).mode))
    assert.equal("[default]\nregion = cn-north-4\ncredentials = profile-file\n",
      tempdir.read(world.dir .. "/.config/cce/config"))
    assert.equal(0, world:cce({ "clusters" }).code)

    -- What is there stays when it is not typed anew, and what is typed shows nothing.
    terminal:start "cce configure"
    terminal:wait "Region %[cn%-north%-4%]: "
    terminal:type ""
    terminal:wait "Enter keeps them"
    terminal:wait "Access key %(AK%): $"
    terminal:type ""
    assert.equal(0, select(2, terminal:finish()))
    assert.matches(sim.env.HUAWEICLOUD_SDK_SK, tempdir.read(keys), 1, true)

    -- Another cloud has regions of its own.
    terminal:start "cce --cloud otc --profile other configure"
    terminal:wait "Regions: eu%-de eu%-nl"
    terminal:type "eu-de"
    terminal:wait "Access key %(AK%): $"
    terminal:type(sim.env.HUAWEICLOUD_SDK_AK)
    terminal:wait "not shown"
    terminal:type(sim.env.HUAWEICLOUD_SDK_SK)
    assert.equal(0, select(2, terminal:finish()), terminal:history())
    assert.matches("[other]\ncloud = otc\nregion = eu-de\n",
      tempdir.read(world.dir .. "/.config/cce/config"), 1, true)
  end)

  it("changes the keys that are typed, and no other line or file", function()
    local function type_keys(text)
      terminal = terminal or terminals.new(world, 160)
      terminal:start(text .. " --region cn-north-4")
      terminal:wait "Access key"
      terminal:type(sim.env.HUAWEICLOUD_SDK_AK)
      terminal:wait "Secret key"
      terminal:type(sim.env.HUAWEICLOUD_SDK_SK)
      return select(2, terminal:finish())
    end
    local keys = world.dir .. "/.huaweicloud/credentials"
    tempdir.check("mkdir " .. world.dir .. "/.huaweicloud")
    tempdir.write(keys, "[basic]\nak = old\nsk = old\nsecurity_token = old\n"
      .. "[global]\nak = mine\n")
    assert.equal(0, type_keys "cce configure")
    assert.equal(("[basic]\nak = %s\nsk = %s\n[global]\nak = mine\n"):format(
      sim.env.HUAWEICLOUD_SDK_AK, sim.env.HUAWEICLOUD_SDK_SK), tempdir.read(keys))
    for _, text in ipairs { '{"kind":"Config"}', "apiVersion: v1\nkind: Config\n" } do
      tempdir.write(world.dir .. "/.huaweicloud/another", text)
      assert.is_true(type_keys "cce configure --profile another" ~= 0)
      assert.equal(text, tempdir.read(world.dir .. "/.huaweicloud/another"))
    end
    terminal:start "cce configure --profile ../.kube/config"
    assert.equal(64, select(2, terminal:finish()))
  end)

  it("writes nothing without keys, or with what no key has", function()
    terminal = terminals.new(world, 160)
    local none, slip = "no keys were given: nothing was written", "a key holds a blank or another"
      .. " character that keys do not have: nothing was written"
    local half = "an access key without its secret key: nothing was written"
    -- What is typed; false is Ctrl-D.
    for _, row in ipairs {
      { "", expected = none, code = 1 }, { false, expected = none, code = 1 },
      { "EXAMPLE", "", expected = half, code = 64 },
      { "EXAMPLE", false, expected = half, code = 64 },
      { "EXAMPLE", "example secret", expected = slip, code = 64 },
      { "EXAMPLE\226\128\139", "example", expected = slip, code = 64 },
    } do
      terminal:start "cce configure --region cn-north-4"
      for i, prompt in ipairs { "Access key %(AK%): $", "Secret key %(SK%), not shown: $" } do
        if row[i] ~= nil then terminal:wait(prompt) end
        if row[i] then terminal:type(row[i]) elseif row[i] == false then terminal:key "C-d" end
      end
      local screen, code = terminal:finish()
      assert.equal(row.code, code, screen)
      assert.matches(row.expected, screen, 1, true)
      assert.is_false(core.file.stat(world.dir .. "/.huaweicloud"))
      assert.is_false(core.file.stat(world.dir .. "/.config"))
    end
  end)

  it("says what to do where there is no terminal", function()
    local result = world:cce { "configure" }
    assert.equal(64, result.code)
    assert.matches("no terminal", result.err, 1, true)
  end)
end)
