-- Whom a revocation is about: who is compared with the caller, who is known, and what proves it,
-- one term wrong at a time. Clients, clusters and logs answer as told.
local audit_log = require "cce.log.audit_log"
local authority = require "cce.kubeconfig.authority"
local core = require "cce.core"
local identity = require "cce.api.identity"
local kubeconfigs = require "cce.kubeconfig"
local principals = require "cce.workflow.revoke.principals"
local protect = require "cce.host.protect"

describe("the principals of a revocation", function()
  local saved, report

  local function replace(module, name, with)
    saved[#saved + 1] = { module, name, module[name] }
    module[name] = with
  end

  before_each(function()
    saved, report = {}, { notes = {} }
    function report:note(format, ...) table.insert(self.notes, format:format(...)) end
  end)

  after_each(function()
    for i = #saved, 1, -1 do saved[i][1][saved[i][2]] = saved[i][3] end
  end)

  local function notes() return table.concat(report.notes, "\n") end

  local function user(id) return { kind = "user", id = id } end

  describe("are named", function()
    it("by one option, to which principals may add those of a report", function()
      local all = { user_id = "u", agency_id = "a", kubeconfig = {}, certificate = "c",
        deleted_since = 1, principals = {} }
      for one, value in pairs(all) do
        assert.equal(one, principals.source { [one] = value })
        for other, another in pairs(all) do
          local source, message, err = principals.source { [one] = value, [other] = another }
          local both = { [one] = true, [other] = true }
          if both.principals and both.deleted_since then
            assert.equal("deleted_since", source)
          elseif one ~= other then
            assert.is_nil(source)
            assert.matches(" and .* are given", message)
            assert.same({ "INVALID_ARGUMENT", false, false },
              { err.code, err.retryable, err.maybe_applied })
          end
        end
      end
      assert.matches("nobody is named", (select(2, principals.source {})))
    end)

    it("as they are given", function()
      assert.same({ user "u" }, principals.find({}, { user_id = "u" }, report))
      assert.same({ { kind = "agency", id = "a" } },
        principals.find({}, { agency_id = "a" }, report))
      assert.same({ user "u" }, principals.find({}, { principals = { user "u" } }, report))
    end)

    it("by a certificate, of which only IAM knows the kind", function()
      local facts = { user_id = "u", not_before = 1, not_after = 2, organizations = { "g" } }
      local config = { certificate = function() return facts end }
      replace(kubeconfigs, "certificate_text", function() return "text" end)
      local opts = { kubeconfig = config }
      assert.same({ { kind = "user", id = "u", guessed = true } },
        principals.find({}, opts, report))
      assert.same({ id = "u", certificate = "text", from = 1, to = 2, groups = { g = true } },
        opts.proof)
      assert.same({ { kind = "agency", id = "u", guessed = false } },
        principals.find({}, { kubeconfig = config, principal = "agency" }, report))
      for _, other in ipairs { {}, { user_id = "a CA", subject = "CN=a CA" } } do
        facts = other
        local none, _, err = principals.find({}, { kubeconfig = config }, report)
        assert.same({ nil, "INVALID_CERTIFICATE" }, { none, err.code })
      end
    end)

    it("by a kubeconfig in a file, which is kept", function()
      local config = { certificate = function() return { user_id = "u" } end }
      replace(kubeconfigs, "certificate_text", function(given)
        return given == config and "text"
      end)
      replace(kubeconfigs, "load", function(path)
        if path == "path" then return config end
        return nil, "no file", { code = "FILE_ERROR" }
      end)
      local opts = { kubeconfig = "path" }
      assert.equal("u", principals.find({}, opts, report)[1].id)
      assert.same({ config, "text" }, { opts.kubeconfig, opts.proof.certificate })
      assert.same({ nil, "no file", { code = "FILE_ERROR" } },
        { principals.find({}, { kubeconfig = "other" }, report) })
      function config.certificate() return nil, "no certificate", { code = "X" } end
      assert.same({ nil, "no certificate", { code = "X" } },
        { principals.find({}, { kubeconfig = config }, report) })
    end)

    it("by a certificate, as a text or in a file", function()
      local files = { path = "content", other = "rubbish", ["a\nb"] = "content" }
      replace(core.file, "read", function(path)
        return files[path], not files[path] and "cannot read 'x': No such file" or nil
      end)
      replace(core, "certificate", function(text)
        if text == "content" then return { user_id = "u" } end
        return nil, "no certificate", "INVALID_CERTIFICATE"
      end)
      for _, given in ipairs { "content", "path" } do
        local opts = { certificate = given }
        assert.equal("u", principals.find({}, opts, report)[1].id)
        assert.equal("content", opts.proof.certificate)
      end
      for given, said in pairs { other = "'other': no certificate", ["a\nb"] = "no certificate",
        none = "no certificate; nor is it the path of a file: No such file" } do
        local none, message, err = principals.find({}, { certificate = given }, report)
        assert.same({ nil, said, "INVALID_CERTIFICATE" }, { none, message, err.code }, given)
      end
    end)

    local function deleted(list, more)
      list.window = { from = 1, to = 2, complete = true }
      list.searched, list.unidentified = { { endpoint = "e", project_id = "p" } }, {}
      for name, value in pairs(more or {}) do list[name] = value end
      return { deleted_principals = function(client, asked)
        client.asked = asked
        return list
      end }
    end

    it("by what CTS has of deletions, each once, of all accounts", function()
      local list = principals.find({ deleted { user "u", user "u" },
        deleted({ user "u", { kind = "agency", id = "u", name = "n", time = 5 } },
          { window = { from = 9, to = 9 } }) }, { deleted_since = 1 }, report)
      assert.same({ user "u", { kind = "agency", id = "u", name = "n", deleted = 5 } }, list)
      assert.is_nil(report.incomplete)
      assert.same({ from = 1, to = 2, complete = true, asked_from = 1 }, report.window)
      assert.not_matches("NOT from", notes())
      local none = principals.find({ deleted {}, { deleted_principals = function()
        return nil, "no", { code = "X" }
      end } }, { deleted_since = 1 }, report)
      assert.is_nil(none)
    end)

    it("by what CTS has where and since when it is asked, which is said", function()
      local opts = { deleted_since = 1, partial = true, tracker_region = "r",
        tracker_project_id = "t" }
      local client = deleted({})
      principals.find({ client }, opts, report)
      assert.same({ from = 1, partial = true, tracker_region = "r", tracker_project_id = "t" },
        client.asked)
      assert.matches("at e, project p", notes(), 1, true)
    end)

    it("incompletely where CTS names nobody, or no longer has all", function()
      principals.find({ deleted({}, { unidentified = { {} },
        window = { from = 1, to = 2, complete = false } }) }, { deleted_since = 1 }, report)
      assert.is_true(report.incomplete)
      assert.is_false(report.window.complete)
      assert.matches("NOT from", notes())
    end)

    it("by a report that was looked at: what is found beside it is left out", function()
      local found = deleted { user "u", user "v", { kind = "agency", id = "u" } }
      local list = principals.find({ found }, { deleted_since = 1,
        principals = { { kind = "user", id = "u", deleted = 7 } } }, report)
      assert.same({ { kind = "user", id = "u", deleted = 7 } }, list)
      assert.is_true(report.incomplete)
      assert.matches("user v was found only now", notes())
      assert.not_matches("user u was found", notes())
      assert.matches("agency u was found only now", notes())
      -- Whom it names twice is one.
      assert.same({ user "u" },
        principals.find({}, { principals = { user "u", user "u" } }, report))
    end)
  end)

  describe("are compared with the caller", function()
    local me, you = { caller = user "me" }, { caller = user "you" }
    local nobody = { why = "no STS" }
    local asked

    before_each(function()
      asked = 0
      replace(identity, "of", function(client)
        asked = asked + 1
        return client.caller, client.why
      end)
    end)

    local function check(clients, list, opts)
      return principals.check_self(clients, list, opts or {}, report)
    end

    it("each with each", function()
      for _, clients in ipairs { { me }, { you, me }, { nobody, me }, { me, nobody } } do
        for _, list in ipairs { { user "me" }, { user "x", user "me" } } do
          for _, opts in ipairs { {}, { dry_run = true } } do
            local ok, message, err = check(clients, list, opts)
            assert.is_nil(ok)
            assert.matches("me is who makes this call", message, 1, true)
            assert.same({ "INVALID_ARGUMENT", false, false },
              { err.code, err.retryable, err.maybe_applied })
          end
        end
      end
      assert.is_true(check({ me, you }, { user "x" }))
      assert.is_nil(report.is_self)
      assert.equal("", notes())
    end)

    it("but not where that is meant, and a plan says it all the same", function()
      assert.is_true(check({ me }, { user "me" }, { allow_self = true }))
      assert.is_true(check({ me }, {}))
      assert.equal(0, asked)
      assert.is_true(check({ me }, { user "me" }, { allow_self = true, dry_run = true }))
      assert.is_true(report.is_self)
      assert.matches("this is you", notes())
    end)

    it("and it is said when it is not known who that is", function()
      assert.is_true(check({ nobody, you }, { user "x" }))
      assert.matches("not known who these credentials are (no STS)", notes(), 1, true)
    end)
  end)

  describe("are looked up in IAM", function()
    -- Lists of ids, "-" in front of those that are disabled; false: it may not be asked.
    local function account(users, agencies)
      local function list(text)
        local found = {}
        for sign, id in (text or ""):gmatch "(%-?)(%w+)" do
          found[#found + 1] = { id = id, name = "N" .. id, enabled = sign == "" }
        end
        return text and found or nil
      end
      return { list_users = function() return list(users) end,
        list_agencies = function() return list(agencies) end }
    end

    local function look_up(clients, principal, opts)
      principals.look_up(clients, { principal }, opts or {}, report)
      assert.same({ principal.can_obtain_again, principal.kind },
        { report.principals[1].can_obtain_again, report.principals[1].kind })
      for _, name in ipairs { "in_iam", "id", "name", "deleted" } do
        assert.equal(principal[name], report.principals[1][name], name)
      end
      return { principal.kind, principal.can_obtain_again, tostring(principal.in_iam),
        tostring(principal.known) }
    end

    it("whether they can obtain again, and whether anybody is known by the id", function()
      local STILL = "still enabled in IAM"
      for _, case in ipairs {
        { { "u", "" }, { "user", STILL, "true", "true" } },
        { { "-u", "" }, { "user", "no", "true", "true" } },
        { { "x", "" }, { "user", "no", "false", "false" } },
        { { "x", false }, { "user", "no", "nil", "nil" } },
        { { false, "" }, { "user", "unknown", "nil", "nil" } },
        { { false, "" }, { "user", "no", "nil", "nil" }, { deleted = 5 } },
        { { "x", "" }, { "user", "no", "false", "true" }, {}, { deleted_since = 1 } },
        -- Of the other kind: a guess gives way, what was asked for does not.
        { { "x", "u" }, { "user", "no", "nil", "true" } },
        { { "u", "u" }, { "user", STILL, "true", "true" } },
        { { "x", "u" }, { "agency", STILL, "true", "true" }, { guessed = true } },
        { { "x", "-u" }, { "agency", "no", "true", "true" }, { guessed = true } },
        { { "u", "" }, { "user", STILL, "true", "true" }, { kind = "agency", guessed = true } },
        { { "x", false }, { "user", "unknown", "nil", "nil" }, { guessed = true } },
        { { "x", "" }, { "user", "no", "false", "false" }, { guessed = true } },
        { { false, "u" }, { "user", "unknown", "nil", "true" } },
      } do
        local principal = { kind = "user", id = "u" }
        for name, value in pairs(case[3] or {}) do principal[name] = value end
        assert.same(case[2], look_up({ account(case[1][1], case[1][2]) }, principal, case[4]))
      end
    end)

    it("of all accounts, where each can be asked", function()
      local known = { "user", "still enabled in IAM", "true", "true" }
      assert.same(known, look_up({ account("x", ""), account("u", "") }, user "u"))
      assert.same(known, look_up({ account("u", ""), account("x", "") }, user "u"))
      for _, clients in ipairs { { account("u", ""), account(false, "") },
        { account(false, ""), account("u", "") } } do
        assert.same({ "user", "unknown", "nil", "nil" }, look_up(clients, user "u"))
      end
    end)

    it("and learn their names, and their groups from a certificate of theirs alone", function()
      local one = user "u"
      look_up({ account("u", "") }, one, { proof = { id = "u", groups = { g = true } } })
      assert.same({ "Nu", { g = true } }, { one.name, one.groups })
      one = { kind = "user", id = "u", name = "given" }
      look_up({ account("u", "") }, one, { proof = { id = "other", groups = { g = true } } })
      assert.same({ "given" }, { one.name, one.groups })
    end)

    it("and what is in doubt is said", function()
      look_up({ account("x", "") }, user "u")
      assert.matches("IAM has no such user: check the id", notes())
      report.notes = {}
      look_up({ account("x", "") }, { kind = "user", id = "u", deleted = 1 })
      look_up({ account(false, "") }, user "u", { proof = { id = "x" } })
      assert.not_matches("check", notes())
      look_up({ account(false, "") }, user "u")
      assert.matches("was not checked: IAM could not be asked", notes())
      report.notes = {}
      look_up({ account("x", "u") }, user "u")
      assert.matches("u is of kind agency, says IAM", notes())
      -- A request of the wrong kind is accepted, and cuts nothing.
      for _, case in ipairs { { "u", "", false }, { "x", "u", false }, { "u", false, false },
        { "x", "", true }, { "x", false, true }, { false, "x", true } } do
        report.notes = {}
        look_up({ account(case[1], case[2]) }, { kind = "user", id = "u", guessed = true })
        assert.equal(case[3], notes():find("u is a user or an agency, neither", 1, true) ~= nil)
      end
    end)

    it("and not at all where there is nobody", function()
      principals.look_up({}, {}, {}, report)
      assert.is_nil(report.principals)
    end)

    it("and twenty are named one by one", function()
      local list = {}
      for i = 1, 20 do list[i] = user("i" .. i) end
      principals.look_up({ account("", "") }, list, {}, report)
      assert.equal(20, #report.notes)
      list[21] = user "i21"
      report.notes = {}
      principals.look_up({ account("", "") }, list, {}, report)
      assert.equal("and 1 more principal", report.notes[21])
    end)
  end)

  describe("are on record", function()
    local function on_record(logs, knows)
      replace(audit_log, "names_holder", function(client, id) return client == id end)
      local principal = user "u"
      local run = { clients = logs, opts = { knows = knows }, report = report }
      local found = principals.is_on_record(run, principal)
      assert.equal(found, principals.is_on_record({}, principal))
      return found
    end

    it("by an audit log of any client, else by what the caller knows", function()
      assert.is_true(on_record { "x", "u" })
      assert.is_true(on_record { "u", "x" })
      assert.is_false(on_record { "x" })
      assert.is_true(on_record({ "u" }, function() error "not asked" end))
      assert.equal("", notes())
      assert.is_true(on_record({}, function(kind, id) return kind == "user" and id == "u" end))
      assert.is_false(on_record({}, function() return false end))
      assert.is_false(on_record({}, function() return "yes" end))
      assert.equal("", notes())
      assert.is_false(on_record({}, function() error(true, 0) end))
      assert.is_false(on_record({}, function() error("no", 0) end))
      assert.matches("knows= raised an error", notes())
    end)

    it("or by nothing when Ctrl-C comes meanwhile, which is raised on", function()
      local ok, problem = pcall(on_record, {}, function() error(protect.INTERRUPT, 0) end)
      assert.same({ false, protect.INTERRUPT }, { ok, problem })
    end)
  end)

  describe("have a certificate that a cluster's CA issued", function()
    local function issued(more)
      local case = { proof = { id = "u", certificate = "text", from = 10, to = 20 }, now = 15,
        listed = "ca", verdict = true }
      for name, value in pairs(more or {}) do case[name] = value end
      replace(authority, "of", function(cluster) return cluster.ca end)
      local seen
      replace(core, "issued_by", function(...)
        seen = { ... }
        return case.verdict
      end)
      local client = { now = function() return case.now end,
        show_cluster = function() return case.shown end }
      local result = principals.is_issued_by({ id = "c1", cluster = { ca = case.listed or nil },
        client = client, principal = user "u" }, { proof = case.proof or nil })
      return result, seen
    end

    it("while it was valid, by the CA that the service names", function()
      for now, at in pairs { [15] = 15, [5] = 10, [25] = 20 } do
        local ok, seen = issued { now = now }
        assert.is_true(ok)
        assert.same({ "text", "ca", at }, seen)
      end
      local ok, seen = issued { listed = false, shown = { ca = "other" } }
      assert.same({ true, "other" }, { ok, seen[2] })
      assert.is_false((issued { verdict = false }))
      assert.is_false((issued { verdict = "x" }))
    end)

    it("as far as that can be told", function()
      for _, more in ipairs { { listed = false }, { listed = false, shown = {} } } do
        local ok, seen = issued(more)
        assert.same({ true }, { ok, seen })
      end
      assert.is_nil((issued { proof = false }))
      assert.is_nil((issued { proof = { id = "v" } }))
    end)
  end)

  describe("obtained again", function()
    local function history(more, others)
      local told = { downloads = {}, revocations = {}, deleted = {} }
      for name, value in pairs(more) do told[name] = value end
      local client = { now = function() return 1e6 end }
      function client.certificate_downloads() return told.downloads, "no downloads" end
      function client.list_traces(_, asked)
        assert.same({ service = "CCE", name = "revokeClusterCert" }, asked)
        return told.revocations, "no traces"
      end
      function client.deleted_principals(_, asked)
        assert.same({ from = 1e6 - 7 * 86400, partial = true }, asked)
        return told.deleted
      end
      local clients = { client }
      for _, other in ipairs(others or {}) do clients[#clients + 1] = other end
      return principals.history(clients, 100, report)
    end

    local function download(time, more)
      local one = { cluster_id = "c1", id = "u", time = time }
      for name, value in pairs(more or {}) do one[name] = value or nil end
      return one
    end

    local function trace(time, more)
      local one = { ok = true, resource_id = "c1", time = time }
      for name, value in pairs(more or {}) do one[name] = value end
      return one
    end

    it("what they obtained after a revocation, before this run", function()
      local function again(downloads, revocations)
        return { history { downloads = downloads, revocations = revocations }
          .obtained_again("c1", user "u") }
      end
      assert.same({ 50, 60 }, again({ download(60) }, { trace(50) }))
      assert.same({}, report.notes)
      assert.same({ 55, 70 }, again({ download(60), download(70), download(65) },
        { trace(40), trace(55), trace(50) }))
      for what, case in pairs {
        ["in this run"] = { { download(100) }, { trace(50) } },
        ["before the revocation"] = { { download(50) }, { trace(50) } },
        ["in another cluster"] = { { download(60, { cluster_id = "c2" }) }, { trace(50) } },
        ["by somebody else"] = { { download(60, { id = "v" }) }, { trace(50) } },
        ["by nobody who is known"] = { { download(60, { id = false }) }, { trace(50) } },
        ["at no known time"] = { { download(60, { time = false }) }, { trace(50) } },
        ["somewhere"] = { { download(60, { cluster_id = false }) }, { trace(50) } },
        ["after one that was refused"] = { { download(60) }, { trace(50, { ok = false }) } },
        ["after one elsewhere"] = { { download(60) }, { trace(50, { resource_id = "c2" }) } },
        ["after nothing"] = { { download(60) }, {} },
      } do
        assert.same({}, again(case[1], case[2]), what)
      end
    end)

    it("and who was known to CTS at all", function()
      local found = history { downloads = { download(60, { cluster_id = false }) },
        deleted = { user "d" } }
      assert.same({ true, true, false }, { found.knows "u", found.knows "d", found.knows "x" })
      assert.is_false(history { deleted = false }.knows "d")
    end)

    it("as far as CTS could be asked, which is said once", function()
      for what, name in pairs { ["no downloads"] = "downloads", ["no traces"] = "revocations" } do
        report.notes = {}
        history({ [name] = false }, { {} })
        assert.same({ "CTS was not asked who obtained certificates again (" .. what .. ")" },
          report.notes)
      end
    end)
  end)
end)
