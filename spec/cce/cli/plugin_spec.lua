local clients = require "spec.support.clients"
local plugin = require "cce.cli.plugin"
local tempdir = dofile "spec/support/tempdir.lua"

describe("cce.cli.plugin", function()
  local getenv, script, dir = os.getenv, arg[0], nil
  local client = { config = { project_id = "p1" } }

  before_each(function()
    dir = tempdir.new()
  end)

  after_each(function()
    rawset(os, "getenv", getenv)
    rawset(arg, 0, script)
    tempdir.remove(dir)
  end)

  local function command(args, env)
    rawset(os, "getenv", function(name) return (env or {})[name] end)
    local found = plugin.command(args, client, "c1")
    rawset(os, "getenv", getenv)
    return found
  end

  local function words(args, env)
    return table.concat(command(args, env).args, " ")
  end

  it("names the place that was typed", function()
    assert.equal("--days 1 --region r1 --project p1", words { region = "r1" })
    assert.equal("--days 7 --endpoint https://a --endpoint https://b --region r1 --project p1",
      words { days = 7, endpoint = { "https://a", "https://b" }, region = "r1" })
    assert.equal("--days max --region r1 --project p1", words { days = -1, region = "r1" })
  end)

  it("names the place of the environment, which kubectl may lack", function()
    local env = { CCE_ENDPOINT = "https://a", CCE_REGION = "r1", CCE_CA_FILE = "/none/ca.pem" }
    assert.equal("--days 1 --endpoint https://a --region r1 --project p1 --ca-file /none/ca.pem",
      words({ endpoint = {} }, env))
    assert.equal("--days 1 --region r2 --project p1 --ca-file /none/ca.pem",
      words({ region = "r2" }, env))
  end)

  it("names the profile, which says the rest", function()
    local env = { CCE_PROFILE = "prod", CCE_REGION = "r1", CCE_CA_FILE = "/none/ca.pem" }
    assert.equal("--days 1 --profile prod --project p1", words({}, env))
    assert.equal("--days 1 --profile test --region r2 --project p1",
      words({ profile = "test", region = "r2" }, env))
  end)

  it("makes paths hold wherever kubectl starts it, and never copies what is in a file", function()
    tempdir.write(dir .. "/token", "sim-example" .. "-token")
    local found = words { token_file = dir .. "/../" .. dir:match "[^/]+$" .. "/token" }
    assert.equal("--days 1 --project p1 --token-file " .. dir .. "/token", found)
  end)

  it("names the command by a path that holds whatever kubectl's PATH is", function()
    tempdir.write(dir .. "/cce", "")
    rawset(arg, 0, dir .. "/cce")
    for _, path in ipairs { "/none:" .. dir .. ":/bin", "/bin", ".", "" } do
      assert.equal(dir .. "/cce", command({}, { PATH = path }).command)
    end
    tempdir.shell("mkdir " .. dir .. "/other; echo other > " .. dir .. "/other/cce")
    assert.equal(dir .. "/cce", command({}, { PATH = dir .. "/other:" .. dir }).command)
    -- A link, or what LuaRocks puts there, goes on to lead to the version of the day.
    tempdir.shell("ln -sf " .. dir .. "/cce " .. dir .. "/other/cce")
    assert.equal(dir .. "/other/cce", command({}, { PATH = dir .. "/other" }).command)
    tempdir.shell(("rm %s/other/cce; echo 'exec lua %s/cce \"$@\"' > %s/other/cce"):format(dir,
      dir, dir))
    assert.equal(dir .. "/other/cce", command({}, { PATH = dir .. "/other" }).command)
  end)

  it("throws away no certificate of a chosen lifetime", function()
    clients.fails("INVALID_ARGUMENT", plugin.lifetime { ["until"] = 1 })
    local life = plugin.lifetime {}
    assert.equal(1, life.duration)
    assert.is_true(life.expire_at - os.time() > 15 * 60)
  end)
end)

-- Which version of the protocol a kubeconfig without a key is written for.
describe("the version of kubectl's protocol", function()
  local dir, popen

  before_each(function() dir, popen = tempdir.new(), io.popen end)

  after_each(function()
    io.popen = popen -- luacheck: ignore
    tempdir.remove(dir)
  end)

  -- What is asked for, with a kubectl that says this; nil: without one.
  local function spoken_by(text)
    if text then
      tempdir.write(dir .. "/kubectl", "#!/bin/sh\necho '" .. text .. "'\n")
      os.execute("chmod +x " .. dir .. "/kubectl")
    end
    io.popen = function(command) -- luacheck: ignore
      return popen(("PATH=%s; %s"):format(dir, command))
    end
    return plugin.api_of_kubectl()
  end

  local function version(minor)
    return ('{"clientVersion":{"major":"1","minor":"%s"}}'):format(minor)
  end

  it("is v1beta1 for one that is older than v1", function()
    assert.equal("v1beta1", spoken_by(version "20"))
    assert.equal("v1beta1", spoken_by(version "21+"))
  end)

  it("is v1 for the others", function()
    assert.equal("v1", spoken_by(version "22"))
    assert.equal("v1", spoken_by(version "32+"))
  end)

  it("is v1 when nobody says", function()
    assert.equal("v1", spoken_by(nil))
    assert.equal("v1", spoken_by "none of your business")
    assert.equal("v1", spoken_by '{"clientVersion":7}')
  end)
end)
