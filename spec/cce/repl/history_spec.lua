local core = require "cce.core"
local histories = require "cce.repl.history"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"

describe("what must not be kept", function()
  it("is what assigns or passes a secret", function()
    for _, line in ipairs {
      'sk = "x"', "credentials = { ak = 'a', sk = 'b' }", '["sk"] = "x"', "client_sk='x'",
      'c = cce.new { token = "abc" }', 'security_token="abc"', "HUAWEICLOUD_SDK_SK = [[x]]",
      'password = "abc"', 'passwd = ("abc")', 'cce.credentials.token("abc")',
      'cce.credentials.token "abc"', 'cce.kubeconfig.x { private_key = "abc" }', 'secret = "abc"',
      "x = [[-----BEGIN CERTIFICATE-----", "x = '" .. "eyJhbGciOiJI.eyJzdWIi.abc'",
      "for i = 1, 2 do\n  sk = 'x'\nend",
      'cce.new { proxy = "http://user:not-a-real-password@proxy.example:3128" }',
      "proxy = 'user:not-a-real-password@proxy.example'",
    } do
      assert.is_true(histories.is_secret(line), line)
    end
  end)

  it("is what holds a known secret", function()
    assert.is_true(histories.is_secret("print(hunter22)", { "hunter22" }))
    assert.is_false(histories.is_secret("print(1)", { "1" }))
  end)

  it("is nothing else", function()
    for _, line in ipairs {
      "client:list_clusters()", 'client:revoke_cert("id", { user_id = "u" })', "task = 'x'",
      "sk = os.getenv 'MY_SK'", "print(token)",
      "cce.workflow.rotate(client, { accept_token_loss = true })", "desk.x = 'y'",
      "cce.new { proxy = 'http://proxy.example:3128' }", 'mail = "somebody@example.com"',
    } do
      assert.is_false(histories.is_secret(line), line)
    end
  end)
end)

describe("the history", function()
  local directory, path

  before_each(function()
    directory = tempdir.new()
    path = directory .. "/state/cce/history"
  end)
  after_each(function() tempdir.remove(directory) end)

  it("leaves a file alone that it cannot read", function()
    assert.is_true(histories.open(path):add "a()")
    local text = ("x"):rep(4 * 1024 * 1024 + 1)
    tempdir.write(path, text)
    local history = histories.open(path)
    assert.matches("larger than", history.problem, 1, true)
    assert.is_true(history:add "b()")
    assert.is_true(text == tempdir.read(path))
  end)

  it("keeps lines in a private file, each once, without secrets", function()
    local history = histories.open(path)
    assert.is_true(history:add "a()")
    assert.is_false(history:add "a()")
    assert.is_false(history:add 'sk = "not-a-real-sk"')
    assert.is_false(history:add "   ")
    history:hide "very-secret-token"
    assert.is_false(history:add "print 'very-secret-token'")
    assert.is_true(history:add "b()")
    assert.equal("a()\nb()\n", simulator.read(path))
    local stat = core.file.stat(path)
    assert.equal("0600", stat.mode)
    assert.same({ "a()", "b()" }, histories.open(path).lines)
  end)

  it("keeps the last thousand", function()
    local history = histories.open(path)
    for i = 1, 1100 do history:add("line" .. i) end
    local again = histories.open(path)
    assert.equal(1000, #again.lines)
    assert.equal("line101", again.lines[1])
  end)

  it("goes on without a file when there can be none", function()
    local history = histories.open "/proc/no/such/place"
    assert.is_string(history.problem)
    assert.is_true(history:add "a()")
    assert.same({ "a()" }, history.lines)
  end)
end)
