-- Which version of the protocol a kubeconfig without a key is written for.
local plugin = require "cce.cli.plugin"
local tempdir = dofile "spec/support/tempdir.lua"

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
