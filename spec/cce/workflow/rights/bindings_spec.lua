-- What the error of an edit says was done: the cluster's real answers are in
-- workflow/revoke/removal_spec.
local json = require "cce.base.json"
local unpack = table.unpack or unpack

local MODULE, ASK = "cce.workflow.rights.bindings", "cce.kubeconfig.ask"

local function http(status, body)
  return { { status = status, body = body or "" } }
end

local ENDED = { nil, "the connection ended", "CONNECTION_LOST", { sent = true } }

-- The answers, of which the last comes again; the code, whether it may have been applied, and
-- how many requests there are.
local ROWS = {
  ["no JSON in a success"] = { { http(200, "x") }, "RESPONSE_INVALID", true, 1 },
  ["no object in a success"] = { { http(200, "1") }, "RESPONSE_INVALID", true, 1 },
  ["another binding in a success"] = { { http(200, "{}") }, "RESPONSE_INVALID", true, 1 },
  ["400"] = { { http(400) }, "BAD_REQUEST", false, 1 },
  ["401"] = { { http(401) }, "UNAUTHENTICATED", false, 1 },
  ["403"] = { { http(403, "{}") }, "PERMISSION_DENIED", false, 1 },
  ["404"] = { { http(404, "[]") }, "NOT_FOUND", false, 1 },
  ["429"] = { { http(429) }, "THROTTLED", false, 3 },
  ["500"] = { { http(500) }, "SERVER_ERROR", true, 3 },
  ["503, then 403"] = { { http(503), http(403, "{}") }, "PERMISSION_DENIED", true, 2 },
  ["no engine"] = { { { nil, "the client is closed", "CLOSED" } }, "CLOSED", false, 1 },
  ["no code"] = { { { nil, "none of ours" } }, "INTERNAL", false, 1 },
  ["no connection"] = { { { nil, "refused", "CONNECT_FAILED", { sent = false } } },
    "CONNECT_FAILED", false, 3 },
  ["a connection that ends"] = { { ENDED }, "CONNECTION_LOST", true, 3 },
  ["one that ended, then 403"] = { { ENDED, http(403, "{}") }, "PERMISSION_DENIED", true, 2 },
}

describe("an edit of a binding", function()
  local ask, answers, sent, slept

  setup(function()
    ask = package.loaded[ASK]
    package.loaded[MODULE] = nil
    package.loaded[ASK] = function(_, _, request)
      sent[#sent + 1] = request
      return unpack(answers[math.min(#sent, #answers)], 1, 4)
    end
  end)

  teardown(function() package.loaded[ASK], package.loaded[MODULE] = ask, nil end)

  local function access()
    slept = {}
    return { cluster = "c", client = { config = {}, random = function() return 0 end,
      sleep = function(seconds) slept[#slept + 1] = seconds end } }
  end

  local function edit()
    return require(MODULE).edit(access(), { kind = "RoleBinding",
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

  it("says what the cluster said", function()
    for body, text in pairs { [""] = "HTTP 403", ['{"message":7}'] = "HTTP 403",
      ['{"message":"denied"}'] = "HTTP 403: denied" } do
      answers, sent = { http(403, body) }, {}
      local _, message, err = edit()
      assert.equal("patch_rolebinding in cluster c: " .. text, message)
      assert.equal(403, err.status)
    end
  end)

  local READ = http(200, json.encode { kind = "RoleBinding", subjects = {},
    metadata = { name = "devs", namespace = "dev", resourceVersion = "8" } })

  it("is read anew and tried twelve times, with longer and longer waits", function()
    answers, sent = {}, {}
    for i = 1, 23 do answers[i] = i % 2 == 1 and http(409) or READ end
    local _, _, err = edit()
    assert.same({ "CONFLICT", 23 }, { err.code, #sent })
    assert.equal("0.025 0.05 0.1 0.2 0.4 0.8 1 1 1 1 1 1",
      (table.concat(slept, " "):gsub("%.0%f[%D]", "")))
    assert.equal("8", json.decode(sent[3].body).metadata.resourceVersion)
  end)

  it("needs a list, of which an empty one may be null", function()
    local function list(first, second)
      answers, sent = { http(200, first), http(200, second) }, {}
      return require(MODULE).list(access())
    end
    local none = '{"kind":"%sBindingList","items":%s}'
    assert.same({}, list(none:format("ClusterRole", "null"), none:format("Role", "[]")))
    local found, message, err = list(none:format("ClusterRole", "[]"), none:format("Role", "7"))
    assert.same({ nil, "list_rolebindings in cluster c: the answer is no list", false },
      { found, message, err.maybe_applied })
  end)

  it("sends the subjects and the version that was read, and no more", function()
    answers, sent = { http(200, json.encode { kind = "RoleBinding",
      metadata = { name = "devs", namespace = "dev", resourceVersion = "8" },
      subjects = { { kind = "User", name = "u" } } }) }, {}
    assert.is_true(edit())
    assert.same({ { "fieldManager", "lua-cce" } }, sent[1].query)
    assert.same({ metadata = { resourceVersion = "7" },
      subjects = { { kind = "User", name = "u" } } }, json.decode(sent[1].body))
  end)
end)
