-- What kubectl would not read, field by field, as k8s.io/client-go/tools/clientcmd/api/v1 has
-- them; and Base64 as Go reads it.
local json = require "cce.base.json"
local read = require "cce.kubeconfig.read"

local FIELDS = {
  text = { "current-context", "clusters.1.name", "contexts.1.name", "users.1.name",
    "extensions.1.name", "preferences.extensions.1.name", "clusters.1.cluster.server",
    "clusters.1.cluster.tls-server-name", "clusters.1.cluster.certificate-authority",
    "clusters.1.cluster.certificate-authority-data", "clusters.1.cluster.proxy-url",
    "clusters.1.cluster.extensions.1.name", "users.1.user.client-certificate",
    "users.1.user.client-certificate-data", "users.1.user.client-key",
    "users.1.user.client-key-data", "users.1.user.token", "users.1.user.tokenFile",
    "users.1.user.as", "users.1.user.as-uid", "users.1.user.as-groups.1",
    "users.1.user.as-user-extra.any.1", "users.1.user.username", "users.1.user.password",
    "users.1.user.auth-provider.name", "users.1.user.auth-provider.config.any",
    "users.1.user.exec.command", "users.1.user.exec.args.1", "users.1.user.exec.apiVersion",
    "users.1.user.exec.installHint", "users.1.user.exec.env.1.name",
    "users.1.user.exec.env.1.value", "users.1.user.exec.interactiveMode",
    "users.1.user.extensions.1.name", "contexts.1.context.cluster", "contexts.1.context.user",
    "contexts.1.context.namespace", "contexts.1.context.extensions.1.name" },
  ["'true' or 'false'"] = { "preferences.colors", "clusters.1.cluster.insecure-skip-tls-verify",
    "clusters.1.cluster.disable-compression", "users.1.user.exec.provideClusterInfo" },
  list = { "clusters", "users", "contexts", "extensions", "preferences.extensions",
    "clusters.1.cluster.extensions", "users.1.user.as-groups", "users.1.user.as-user-extra.any",
    "users.1.user.exec.args", "users.1.user.exec.env", "users.1.user.extensions",
    "contexts.1.context.extensions" },
  object = { "preferences", "clusters.1", "clusters.1.cluster", "users.1", "users.1.user",
    "users.1.user.as-user-extra", "users.1.user.auth-provider",
    "users.1.user.auth-provider.config", "users.1.user.exec", "users.1.user.exec.env.1",
    "contexts.1", "contexts.1.context", "extensions.1" },
}

local VALUES = { text = { "", "x" }, ["'true' or 'false'"] = { true, false },
  list = { json.array {} }, object = { json.decode "{}" } }

describe("what kubectl would not read", function()
  -- A kubeconfig with one value in it.
  local function problem(path, value)
    local data = {}
    local at, last = data, nil
    for part in path:gmatch "[^.]+" do
      if last then
        at[last] = {}
        at = at[last]
      end
      last = tonumber(part) or part
    end
    at[last] = value
    return read.problem(data)
  end

  for kind, paths in pairs(FIELDS) do
    for _, path in ipairs(paths) do
      it(("is %s that is no %s"):format(path, kind), function()
        local shown = path:gsub("%.(%d+)", "[%1]")
        for other, values in pairs(VALUES) do
          for _, value in ipairs(values) do
            local why = problem(path, value)
            if other == kind then
              assert.is_nil(why)
            else
              local quoted = shown:find "%[" and shown or "'" .. shown .. "'"
              assert.equal(1, why:find(quoted .. " is no " .. kind, 1, true), why)
            end
          end
        end
        assert.is_string(problem(path, 5))
        assert.is_nil(problem(path, json.null))
      end)
    end
  end

  it("is of another kind or version, or has a name twice", function()
    for kind, is_right in pairs { Config = true, [""] = true, config = false, List = false } do
      assert.equal(is_right, problem("kind", kind) == nil)
    end
    for version, is_right in pairs { v1 = true, [""] = true, v2 = false } do
      assert.equal(is_right, problem("apiVersion", version) == nil)
    end
    assert.matches("no text", problem("kind", 5))
    assert.matches("no text", problem("apiVersion", 5))
    for _, data in ipairs { "x", 5, json.array { "x" }, json.array {} } do
      assert.equal("it is not an object", read.problem(data))
    end
    for _, section in ipairs { "clusters", "users", "contexts" } do
      assert.equal("there are two " .. section .. " named 'a'", read.problem {
        [section] = { { name = "a" }, { name = "b" }, { name = "a" } } })
    end
    assert.is_nil(problem("surprise", 5))
    assert.is_nil(problem("users.1.user.surprise", 5))
  end)
end)

describe("the Base64 of a PEM text", function()
  it("is what Go reads", function()
    for _, text in ipairs { "YQ==", "YWI=", "YWJj", "Y\nW\r\nJj", "+/+/" } do
      assert.is_nil(read.base64_problem(text))
    end
    for text, expected in pairs { ["TFMwdExTMUNSVWRKVGlC"] = "twice over",
      ["-----BEGIN X-----"] = "is PEM text", ["  -----BEGIN"] = "is PEM text",
      ["YQ =="] = "blanks", ["Y\tQ=="] = "blanks", ["YQ="] = "is no Base64",
      ["YQ"] = "is no Base64", ["Y==="] = "is no Base64", ["YQ-_"] = "is no Base64",
      ["=YQ="] = "is no Base64", [""] = "is no Base64", ["\n"] = "is no Base64" } do
      local problem, is_read = read.base64_problem(text)
      assert.matches(expected, problem, 1, true)
      assert.equal(expected == "twice over" or nil, is_read)
    end
  end)
end)
