-- Why a signature was refused: the gateway's own canonical request beside ours, one line another
-- at a time.
local core = require "cce.core"
local diagnosis = require "cce.api.diagnosis"

local TOKEN = "not-a-real-token"

local LINES = { "GET", "/v3/", "a=1", "content-type:json", "host:a.example",
  "x-security-token:" .. TOKEN, "x-sdk-date:1", "", "content-type;host;x-security-token", "abc" }

local SAME = "The gateway signed exactly the same request, so the secret key is wrong"
  .. " or belongs to another access key"

-- What is said of the gateway's lines, which are ours but for some.
local function compare(changes, count)
  local theirs = {}
  for i = 1, count or #LINES do theirs[i] = changes[i] or LINES[i] end
  local hint = diagnosis.compare(table.concat(theirs, "|"), table.concat(LINES, "\n"))
  assert.is_nil(hint:find(TOKEN, 1, true), hint)
  return hint
end

local function saw(what, there, here)
  return ("The gateway saw another request than was signed: %s is %s there and %s here;"
    .. " look for a proxy that changes requests"):format(what, there, here)
end

describe("the gateway's canonical request", function()
  it("is ours when all lines are, however much of a token can be read there", function()
    assert.equal(SAME, compare {})
    for _, line in ipairs { "x-security-token:***", "X-Security-Token : " } do
      assert.equal(SAME, compare { [6] = line })
    end
  end)

  it("is another by any of its lines, the first of which is named", function()
    for i, what in pairs { "the method", "the path", "the query", "a header", "a header",
      [7] = "a header", [8] = "a header", [9] = "the list of signed headers",
      [10] = "the hash of the body" } do
      assert.equal(saw(what, '"other"', '"' .. LINES[i] .. '"'), compare { [i] = "other" })
    end
    assert.equal(saw("the path", '"other"', '"/v3/"'), compare { [2] = "other", [5] = "other" })
    assert.equal(saw("the query", '""', '"a=1"'), compare { [3] = "" })
  end)

  it("is another when a line is missing, or one too many is there", function()
    assert.equal(saw("a header", "nothing", '"content-type:json"'), compare({}, 3))
    assert.equal(saw("the hash of the body", "nothing", '"abc"'), compare({}, 9))
    assert.equal(saw("a header", '"more"', "nothing"), compare({ [11] = "more" }, 11))
  end)

  it("shows no token, on either side", function()
    assert.equal(saw("a header", '"x-other:1"', '"x-security-token:***"'),
      compare { [6] = "x-other:1" })
    assert.equal(saw("a header", '"X-Auth-Token:***"', '"content-type:json"'),
      compare { [4] = "X-Auth-Token:" .. TOKEN })
    assert.equal(saw("a header", '"X-Subject-Token :***"', "nothing"),
      compare({ [11] = "X-Subject-Token :" .. TOKEN }, 11))
  end)
end)

describe("a refused signature", function()
  local signer = assert(core.signer { ak = "EXAMPLEACCESSKEY0000", sk = "not-a-real-key" })
  local REQUEST = { endpoint = "https://a.example/base", method = "GET", path = "/v3",
    headers = { ["X-A"] = "b" }, date = 1767323045.75 }
  local canonical = assert(signer:canonical_request { method = "GET", host = "a.example",
    path = "/base/v3", headers = { ["X-A"] = "b" }, date = 1767323045 })
  local TEXT = "verify aksk signature fail, canonicalRequest:" .. canonical:gsub("\n", "|")

  local function explain(text, changes, by)
    local request = {}
    for name, value in pairs(REQUEST) do request[name] = value end
    for name, value in pairs(changes or {}) do request[name] = value end
    return diagnosis.explain(text, by, request)
  end

  it("is explained by what the gateway repeats of the request", function()
    assert.equal(SAME, explain(TEXT, nil, signer))
    assert.equal(saw("the path", '"/base/v3/"', '"/base/v4/"'),
      explain(TEXT, { path = "/v4" }, signer))
  end)

  it("is not, where the gateway repeats nothing or we have nothing to put beside it", function()
    assert.is_nil(explain("verify aksk signature fail", nil, signer))
    assert.is_nil(explain(TEXT, nil, nil))
    assert.is_nil(explain(TEXT, { endpoint = "a.example" }, signer))
    assert.is_nil(explain(TEXT, { method = "" }, signer))
  end)
end)
