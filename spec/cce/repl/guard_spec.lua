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

  it("says what each call would do, and by which word it does it", function()
    local done = 0
    local function act()
      done = done + 1
      return done
    end
    local library = guard:library({ new = cce.new, progress = cce.progress,
      workflow = { revoke = act, rotate = act, grant = act },
      schedule = { open = function()
        return { revoke_at = act, rotate_at = act, rotate_every = act, hasten = act, run = act,
          cancel = act }
      end } }, function() end)
    local schedule, workflow = library.schedule.open "sqlite:x", library.workflow
    for i, case in ipairs {
      { "REVOKE: This will cut all certificates of user u1 of cluster c1.", schedule.revoke_at,
        schedule, 5, { user_id = "u1", cluster_id = "c1" } },
      { "REVOKE: This will cut all certificates of agency a1.", schedule.revoke_at, schedule, 5,
        { agency_id = "a1", cluster_id = 7 } },
      { "REVOKE: This will cut all certificates of the holder.", schedule.revoke_at, schedule, 5 },
      { "ROTATE: This will rotate the certificates of cluster c1 at that time.",
        schedule.rotate_at, schedule, 5, { cluster_id = "c1" } },
      { "ROTATE: This will rotate the certificates at that time.", schedule.rotate_at, schedule, 5,
        "c1" },
      { "ROTATE: This will rotate the certificates of cluster c1 again and again.",
        schedule.rotate_every, schedule, 5, { cluster_id = "c1" } },
      { "ROTATE: This will rotate the certificates again and again.", schedule.rotate_every,
        schedule, 5 },
      { "REVOKE: This makes it due now: what it revokes is cut as soon as the schedule runs.",
        schedule.hasten, schedule, "id" },
      { "RUN: This does what is due in the schedule: it revokes and rotates.", schedule.run,
        schedule, client },
      { "MYSELF: This hands out your own identity, and cuts all that you hold there at its end.",
        workflow.grant, client, schedule, { allow_self = true } },
      { "REVOKE: This cuts all certificates of everyone who was deleted since then in the clusters"
        .. " that are chosen. It cannot be undone.", workflow.revoke, client,
        { deleted_since = 5, clusters = print } },
      { "ROTATE: This rotates the certificates of 2 clusters: who holds old ones is cut off.",
        workflow.rotate, client, { clusters = { "c1", "c2" } } },
    } do
      say = false
      assert.same({ nil, "CANCELLED" }, { case[2](case[3], case[4], case[5]),
        (select(3, case[2](case[3], case[4], case[5]))).code })
      assert.same({ case[1], case[1] }, asked)
      say = true
      assert.equal(i, case[2](case[3], case[4], case[5]))
      asked = {}
    end
    -- What destroys nothing is not asked about.
    say = false
    for _, opts in ipairs { {}, { allow_self = false }, false } do
      assert.is_number(workflow.grant(client, schedule, opts or nil))
    end
    assert.is_number(schedule:cancel "id")
    assert.is_number(workflow.rotate(client, { dry_run = true }))
    assert.same({}, asked)
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
