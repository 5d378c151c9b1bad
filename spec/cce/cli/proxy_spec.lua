-- The proxy of the command as a whole, by the variables that people set. The judges are curl and
-- kubectl with the same ones: what either reaches without the proxy we do, and where they
-- differ the reason stands beside the form.
local canned = require "spec.support.peer.canned"
local commands = require "spec.support.command"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

if not (simulator.has_program "curl" and simulator.has_program "kubectl") then
  describe("a proxy", function() pending "needs curl and kubectl" end)
  return
end

-- Nothing listens at either without a proxy, and both say so at once.
local NAME, ADDRESS = "https://cce.corp.invalid", "https://0.0.0.0:1"

local BLANKS = "to Go, blanks are a part of the name"
-- curl 7.88 parts names at blanks, 8.14 does not.
local is_old = tempdir.shell("curl --version"):find "^curl 7%."
local CURL_BLANKS = not is_old and "to curl, names are parted by commas" or nil
local OLD_CURL = "curl knows no *.domain and no port"
local GO_BELOW = "to Go, .domain is what stands below it"

-- The list, where to, whether directly; why curl and why kubectl does otherwise.
local lists = {
  { "", NAME, false },
  { "other.invalid", NAME, false },
  { "cce.corp.invalid", NAME, true },
  { "CCE.Corp.INVALID", NAME, true },
  { "corp.invalid", NAME, true },
  { "invalid", NAME, true },
  { ".corp.invalid", NAME, true },
  { ".cce.corp.invalid", NAME, true, nil, GO_BELOW },
  { "*.corp.invalid", NAME, true, OLD_CURL },
  { "*.other.invalid", NAME, false },
  { "orp.invalid", NAME, false },
  { "cce.corp.invalid.", NAME, true, nil, "Go compares the dot" },
  { "cce.corp.invalid:443", NAME, true, OLD_CURL },
  { "corp.invalid:443", NAME, true, OLD_CURL },
  { "cce.corp.invalid:8443", NAME, false },
  { "*", NAME, true },
  { "a,b , cce.corp.invalid", NAME, true },
  { "a b cce.corp.invalid", NAME, true, CURL_BLANKS, BLANKS },
  { "10.0.0.0/8,.corp.invalid", NAME, true },
  { "0.0.0.0", ADDRESS, true },
  { "0.0.0.0/8", ADDRESS, true },
  { "0.0.0.0/0", ADDRESS, true },
  { "10.0.0.0/8", ADDRESS, false },
  { "0.0.0.0:1", ADDRESS, true, OLD_CURL },
  { "0.0.0.0:2", ADDRESS, false },
  { "0.0.0.0/33", ADDRESS, false },
}

describe("a proxy", function()
  local world

  setup(function()
    world = commands.new { env = { HUAWEICLOUD_SDK_AK = "AKEXAMPLE0000000000",
      HUAWEICLOUD_SDK_SK = "sk-example", HUAWEICLOUD_SDK_PROJECT_ID = ("0"):rep(32) } }
  end)

  teardown(function() world:remove() end)

  -- Whether each asks a proxy that refuses, and with which words.
  local function asked(variables, run)
    local proxy = canned.start { canned.answer(403, "no") }
    local env = {}
    for name, value in pairs(variables) do env[name] = value:gsub("PORT", proxy.port) end
    run(env)
    local first = proxy:request(1)
    proxy:stop()
    return first
  end

  local function ours(endpoint, variables)
    return asked(variables, function(env)
      world:cce({ "--endpoint", endpoint, "--timeout", "5", "doctor" }, { env = env })
    end)
  end

  local function curls(endpoint, variables)
    return asked(variables, function(env)
      world:start({ "/usr/bin/env", "curl", "-s", "-m", "5", endpoint }, { env = env })()
    end)
  end

  local function kubectls(endpoint, variables)
    return asked(variables, function(env)
      world:start({ "/usr/bin/env", "kubectl", "--server", endpoint, "--request-timeout=5s",
        "--token", "fake", "get", "--raw", "/version" }, { env = env })()
    end)
  end

  for _, form in ipairs(lists) do
    it(("is left out by '%s' for %s: %s"):format(form[1], form[2], tostring(form[3])), function()
      local variables = { https_proxy = "http://127.0.0.1:PORT", no_proxy = form[1] }
      local direct = ours(form[2], variables) == nil
      assert.equal(form[3], direct)
      assert.equal(form[4] == nil, (curls(form[2], variables) == nil) == direct)
      assert.equal(form[5] == nil, (kubectls(form[2], variables) == nil) == direct)
    end)
  end

  local CURL_AT = "curl refuses it"

  -- The address; who is told to the proxy; why curl does otherwise.
  local addresses = {
    { "http://127.0.0.1:PORT" },
    { "HTTP://127.0.0.1:PORT/" },
    { "127.0.0.1:PORT" },
    { "http://user:p%40ss@127.0.0.1:PORT", "user:p@ss" },
    { "http://user:p@ss@127.0.0.1:PORT", "user:p@ss", CURL_AT },
    { "http://me@corp.invalid:p@s@127.0.0.1:PORT", "me@corp.invalid:p@s", CURL_AT },
    { "user:p@ss@127.0.0.1:PORT", "user:p@ss", CURL_AT },
    { "http://user:a:b@127.0.0.1:PORT", "user:a:b" },
  }

  for _, form in ipairs(addresses) do
    it("is used as " .. form[1], function()
      local variables = { HTTPS_PROXY = form[1] }
      local expected = form[2] and "Basic " .. require("cce.core").to_base64(form[2]) or nil
      local judges = { ours, kubectls, not form[3] and curls or nil }
      for _, judge in ipairs(judges) do
        local request = assert.is_table(judge(NAME, variables))
        assert.equal("CONNECT cce.corp.invalid:443 HTTP/1.1", request.line)
        assert.equal(expected, request.headers["proxy-authorization"])
      end
      if form[3] then assert.is_nil(curls(NAME, variables)) end
    end)
  end
end)
