-- Why kubectl makes no request as a user, one term at a time. That kubectl itself does so is
-- judged in parity_spec.
local tempdir = require "spec.support.tempdir"
local users = require "cce.kubeconfig.users"

describe("a user as whom kubectl makes no request", function()
  local dir

  before_each(function()
    dir = tempdir.new()
    tempdir.write(dir .. "/token", "example-token\n")
    tempdir.write(dir .. "/empty", " \n")
  end)

  after_each(function() tempdir.remove(dir) end)

  it("has what does not go together, or half of it", function()
    local function exec(version, mode, command)
      return { exec = { apiVersion = version and "client.authentication.k8s.io/" .. version,
        interactiveMode = mode, command = command or "cce" } }
    end
    local both = "it has both a token and a password"
    for _, row in ipairs {
      { {} }, { { token = "t" } }, { { username = "u", password = "p" } },
      { { token = "t", username = "u" }, both }, { { token = "t", password = "p" }, both },
      { { token = "", username = "u" } },
      { { ["auth-provider"] = { name = "x" } }, "it has an auth-provider, too" },
      { { ["auth-provider"] = "x" } }, { { exec = "x" } },
      { exec("v1", "Never") }, { exec("v1"), "its exec has no interactiveMode" },
      { exec("v1alpha1") }, { exec("v1beta1") }, { exec("v1beta1", "Never") },
      { exec(nil, "Never"), "its exec has no apiVersion" },
      { exec("v1", "Never", ""), "its exec has no command" },
      { { ["as-uid"] = "1" }, "it has as-uid, but no as" }, { { ["as-uid"] = "" } },
      { { ["as-uid"] = "1", as = "a" } }, { { ["as-groups"] = {} } },
      { { ["as-groups"] = { "g" } }, "it has as-groups, but no as" },
      { { ["as-groups"] = { "g" }, as = "a" } },
      { { ["as-user-extra"] = { x = { "y" } } }, "it has as-user-extra, but no as" },
      { { tokenFile = "token" } }, { { tokenFile = dir .. "/token" } },
      { { tokenFile = "empty" }, "its tokenFile 'empty' is empty" },
      { { tokenFile = "none" }, "its tokenFile: " }, { { tokenFile = "none", token = "t" } },
    } do
      local why = users.refusal({ path = dir .. "/config" }, { name = "u", body = row[1] })
      assert.equal(row[2], why and why:sub(1, #(row[2] or why)))
    end
  end)

  it("has something else instead of a certificate, which is named", function()
    for _, row in ipairs { { {}, "it has no credentials" }, { { exec = {} }, "it uses exec" },
      { { token = "t", exec = {} }, "it uses exec" }, { { token = "t" }, "it uses token" },
      { { token = "" }, "it has no credentials" }, { { username = "u" }, "it uses username" } } do
      assert.equal(row[2], users.other_means { body = row[1] })
    end
  end)
end)
