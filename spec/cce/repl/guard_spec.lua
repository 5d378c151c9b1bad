local cce = require "cce"
local guards = require "cce.repl.guard"

describe("cce.repl.guard", function()
  local asked, say, task, wanted, guard, client, sent

  before_each(function()
    asked, say, task, wanted, sent = {}, true, {}, true, {}
    guard = guards.new {
      ask = function(text, word)
        asked[#asked + 1] = word .. ": " .. text
        return say
      end,
      wanted = function() return wanted end,
      task = function() return task end,
    }
    client = cce.new { region = "cn-north-4", project_id = "p",
      credentials = { ak = "AKEXAMPLE", sk = "not-a-real-key" } }
    client.caller = { kind = "user", id = "myself" }
    rawset(client, "revoke_cert", function(_, id)
      sent[#sent + 1] = id
      return true
    end)
    guard:client(client)
  end)

  it("asks, and says whose certificates are cut", function()
    assert.is_true(client:revoke_cert("c1", { user_id = "leaver" }))
    assert.same({ "c1" }, sent)
    assert.truthy(asked[1]:find "^REVOKE: .*user leaver in cluster c1")
    client:revoke_cert("c1", { agency_id = "machines" })
    assert.matches("agency machines in cluster c1", asked[2], 1, true)
  end)

  it("says that it is one's own, and wants another word", function()
    client:revoke_cert("c1", { user_id = "myself" })
    assert.truthy(asked[1]:find("This is you.", 1, true))
    client:revoke_cert("c1", { user_id = "leaver" })
    assert.is_nil(asked[2]:find("This is you", 1, true))
  end)

  it("sends nothing without a yes", function()
    say = false
    local ok, message, err = client:revoke_cert("c1", { user_id = "leaver" })
    assert.is_nil(ok)
    assert.equal("revoke_cert: not confirmed, nothing was sent", message)
    assert.equal("CANCELLED", err.code)
    assert.is_false(err.maybe_applied)
    assert.same({}, sent)
  end)

  it("asks nothing when told so", function()
    wanted = false
    client:revoke_cert("c1", { user_id = "leaver" })
    assert.same({}, asked)
    assert.same({ "c1" }, sent)
  end)

  it("asks once for a workflow, and not for what it calls", function()
    local library = guard:library({
      new = cce.new, progress = cce.progress,
      workflow = {
        revoke = function(given)
          given:revoke_cert("c1", {})
          given:revoke_cert("c2", {})
          return "report"
        end,
        rotate = function() error("failed", 0) end,
      },
    }, function() end)
    assert.equal("report", library.workflow.revoke(client, { clusters = { name = "prod-*" },
      user_id = "leaver" }))
    assert.equal(1, #asked)
    assert.truthy(asked[1]:find("user leaver in clusters named prod-*", 1, true))
    assert.same({ "c1", "c2" }, sent)
    -- What fails leaves nothing behind that would pass for an answer.
    assert.has_error(function() library.workflow.rotate(client, {}) end, "failed")
    client:revoke_cert("c3", {})
    assert.equal(3, #asked)
  end)

  it("asks nothing for a dry run", function()
    local library = guard:library({ new = cce.new, progress = cce.progress,
      workflow = { revoke = function() return "plan" end, rotate = function() end } }, print)
    assert.equal("plan", library.workflow.revoke(client, { dry_run = true }))
    assert.same({}, asked)
  end)

  it("guards clients that are made at the prompt, and changes nothing in the library", function()
    local before = cce.new
    local library = guard:library(cce, cce.progress)
    local made = library.new { region = "cn-north-4", project_id = "p",
      credentials = { ak = "AKEXAMPLE", sk = "not-a-real-key" } }
    say = false
    assert.is_nil((made:rotate_credentials("c1", { component = "all" })))
    assert.equal(1, #asked)
    assert.is_nil((library.new { region = "cn-north-4", ca_file = "" }))
    assert.equal(before, cce.new)
    assert.equal(cce.map, library.map)
    local other = cce.new { region = "cn-north-4", project_id = "p",
      credentials = { ak = "AKEXAMPLE", sk = "not-a-real-key" } }
    assert.is_nil(rawget(other, "revoke_cert"))
    assert.equal(getmetatable(other).__index.revoke_cert, guard:original(made.revoke_cert))
  end)
end)
