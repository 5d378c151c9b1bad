-- What the error of an edit says was done: the cluster's real answers are in
-- workflow/revoke/removal_spec.
local json = require "cce.base.json"
local unpack = table.unpack or unpack

local MODULE, ASK = "cce.workflow.rights.bindings", "cce.kubeconfig.ask"

local DENIED = { { status = 403, body = "{}" } }
local SENT = { nil, "the connection ended", "CONNECTION_LOST", { sent = true } }

-- The answers, of which the last comes again; the code, whether it may have been applied, and
-- how many requests there are.
local ROWS = {
  ["no JSON in a success"] = { { { { status = 200, body = "x" } } }, "RESPONSE_INVALID", true, 1 },
  ["no object in a success"] = { { { { status = 200, body = "1" } } },
    "RESPONSE_INVALID", true, 1 },
  ["another binding in a success"] = { { { { status = 200, body = "{}" } } },
    "RESPONSE_INVALID", true, 1 },
  ["400"] = { { { { status = 400, body = "" } } }, "BAD_REQUEST", false, 1 },
  ["401"] = { { { { status = 401, body = "" } } }, "UNAUTHENTICATED", false, 1 },
  ["403"] = { { DENIED }, "PERMISSION_DENIED", false, 1 },
  ["404"] = { { { { status = 404, body = "[]" } } }, "NOT_FOUND", false, 1 },
  ["429"] = { { { { status = 429, body = "" } } }, "THROTTLED", false, 3 },
  ["500"] = { { { { status = 500, body = "" } } }, "SERVER_ERROR", true, 3 },
  ["503, then 403"] = { { { { status = 503, body = "" } }, DENIED }, "PERMISSION_DENIED", true, 2 },
  ["no engine"] = { { { nil, "the client is closed", "CLOSED" } }, "CLOSED", false, 1 },
  ["no code"] = { { { nil, "none of ours" } }, "INTERNAL", false, 1 },
  ["no connection"] = { { { nil, "refused", "CONNECT_FAILED", { sent = false } } },
    "CONNECT_FAILED", false, 3 },
  ["a connection that ends"] = { { SENT }, "CONNECTION_LOST", true, 3 },
  ["one that ended, then 403"] = { { SENT, DENIED }, "PERMISSION_DENIED", true, 2 },
}

describe("an edit of a binding", function()
  local ask, answers, sent

  setup(function()
    ask = package.loaded[ASK]
    package.loaded[MODULE] = nil
    package.loaded[ASK] = function(_, _, request)
      sent[#sent + 1] = request
      return unpack(answers[math.min(#sent, #answers)], 1, 4)
    end
  end)

  teardown(function() package.loaded[ASK], package.loaded[MODULE] = ask, nil end)

  local function edit()
    local client = { config = {}, sleep = function() end, random = function() return 0 end }
    return require(MODULE).edit({ client = client, cluster = "c" }, { kind = "RoleBinding",
      namespace = "dev", name = "devs", version = "7", subjects = {} },
      function() return { { kind = "User", name = "u" } } end)
  end

  for name, row in pairs(ROWS) do
    it("says what " .. name .. " leaves", function()
      answers, sent = row[1], {}
      local done, _, err = edit()
      assert.is_nil(done)
      assert.same({ row[2], row[3], row[4] }, { err.code, err.maybe_applied, #sent })
    end)
  end

  it("sends the subjects and the version that was read, and no more", function()
    answers, sent = { { { status = 200, body = json.encode { kind = "RoleBinding",
      metadata = { name = "devs", namespace = "dev", resourceVersion = "8" },
      subjects = { { kind = "User", name = "u" } } } } } }, {}
    assert.is_true(edit())
    assert.same({ metadata = { resourceVersion = "7" },
      subjects = { { kind = "User", name = "u" } } }, json.decode(sent[1].body))
  end)
end)
