local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local audit_log = cce.audit_log

describe("cce.audit_log", function()
  local sim, dir, path

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    dir = tempdir.new()
    path = dir .. "/audit.log"
  end)

  after_each(function() tempdir.remove(dir) end)

  local function lines()
    local list = {}
    for line in (tempdir.read(path) or ""):gmatch "([^\n]*)\n" do
      list[#list + 1] = core.json.decode(line)
    end
    return list
  end

  -- Makes so many calls, and returns the last event.
  local function fill(count, options)
    local log = assert(audit_log.open(path, options))
    local client = clients.new(sim, { audit_log = log })
    for i = 1, count do
      assert(client:revoke_cert(sim.clusters[i].id, { user_id = "someone" }))
    end
    client:close()
    log:close()
    local last
    for _, event in ipairs(client.events) do
      if event.type == "audit_log" then last = event end
    end
    return last
  end

  it("says when, what, on what, by which key, and what came of it", function()
    local client = clients.new(sim, { audit_log = path })
    local job = assert(client:rotate_credentials(sim.clusters[1].id, { component = "all" }))
    client:close()
    local log = lines()
    assert.equal(2, #log)
    assert.equal("pending", log[1].outcome)
    local last = log[2]
    assert.equal("rotate_credentials", last.operation)
    assert.equal("cluster " .. sim.clusters[1].id, last.target)
    assert.equal(simulator.admin.ak, last.access_key)
    assert.equal("ok", last.outcome)
    assert.equal(200, last.status)
    assert.equal(job.request_id, last.request_id)
    assert.equal(1, last.call)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", last.at)
    assert.equal("0600", core.file.stat(path).mode)
  end)

  it("logs no reads, and every call that changes something, also those that fail", function()
    local client = clients.new(sim, { audit_log = path })
    local id = sim.clusters[1].id
    assert(client:list_clusters())
    assert(client:obtain_cert(id, { duration = 1 }))
    assert(client:revoke_cert(id, { user_id = "someone" }))
    clients.fails("NOT_FOUND", client:rotate_credentials("nobody", { component = "all" }))
    sim:fault { operation = "rotate_credentials", status = 503 }
    clients.fails("SERVER_ERROR", client:rotate_credentials(id, { component = "all" }))
    client:close()
    local seen = {}
    for _, line in ipairs(lines()) do
      if line.outcome ~= "pending" then
        seen[#seen + 1] = ("%s %s %s"):format(line.operation, line.outcome, line.code or "-")
      end
    end
    assert.same({ "obtain_cert ok -", "revoke_cert ok -", "rotate_credentials failed NOT_FOUND",
      "rotate_credentials unknown SERVER_ERROR" }, seen)
    assert.equal(8, assert(audit_log.verify(path)).count)
  end)

  it("says what was asked for, and says it in both lines of a call", function()
    local client = clients.new(sim, { audit_log = path })
    local id = sim.clusters[1].id
    assert(client:obtain_cert(id, { duration = 3 }))
    local ends = os.time() + 86400
    assert(client:obtain_cert(id, { expire_at = ends }))
    assert(client:revoke_cert(id, { user_id = "someone" }))
    assert(client:revoke_cert(id, { agency_id = "some-agency" }))
    assert(client:rotate_credentials(id, { component = "all", certificate_expiration_time = 48 }))
    clients.fails("NOT_FOUND", client:retry_node_rotation("nobody", { node_ids = { "n1", "n2" } }))
    client:close()
    local wanted = { { duration = 3 }, { expire_at = os.date("!%Y-%m-%d %H:%M:%S", ends) },
      { user_id = "someone" }, { agency_id = "some-agency" },
      { component = "all", certificate_expiration_time = 48 }, { nodes = "n1 n2" } }
    local log = lines()
    assert.equal(2 * #wanted, #log)
    for i, fields in ipairs(wanted) do
      for name, value in pairs(fields) do
        for _, line in ipairs { log[2 * i - 1], log[2 * i] } do
          if name == "expire_at" then line[name] = line[name]:sub(1, #value) end
          assert.equal(value, line[name])
        end
      end
    end
  end)

  it("says whose certificate was obtained, and nothing else of it", function()
    local client = clients.new(sim, { audit_log = path })
    local admin = simulator.admin.principal.id
    assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    sim:fault { operation = "obtain_cert", status = 400 }
    clients.fails("BAD_REQUEST", client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    assert(client:revoke_cert(sim.clusters[1].id, { user_id = admin }))
    client:close()
    local holders = {}
    for i, line in ipairs(lines()) do holders[i] = line.holder or "-" end
    assert.same({ "-", admin, "-", "-", "-", "-" }, holders)
  end)

  it("knows whom it names as a holder, by lines that were not changed", function()
    local admin, other = simulator.admin.principal.id, ("f"):rep(32)
    for _, key in ipairs { false, "an-example-key" } do
      local log = assert(audit_log.open(path, { key = key or nil }))
      local client = clients.new(sim, { audit_log = log })
      assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
      assert(client:revoke_cert(sim.clusters[1].id, { user_id = other }))
      assert.is_true(audit_log.names_holder(client, admin))
      assert.is_false(audit_log.names_holder(client, other))
      tempdir.write(path, (tempdir.read(path):gsub('("holder":")' .. admin, "%1" .. other)))
      assert.is_false(audit_log.names_holder(client, admin))
      assert.is_false(audit_log.names_holder(client, other))
      log:close()
      client:close()
      os.remove(path)
    end
    assert.is_false(audit_log.names_holder(clients.new(sim), admin))
    assert.is_false(audit_log.names_holder(clients.new(sim, { audit_log = path }), admin))
  end)

  it("has a place for each argument of each call that changes something, but for keys", function()
    local seen = {}
    for _, name in ipairs { "duration", "expire_at", "user_id", "agency_id", "component",
      "certificate_expiration_time" } do seen[name] = true end
    for name, operation in pairs(core.operations) do
      for _, field in ipairs(operation.mutating and operation.fields or {}) do
        assert.is_true(seen[field] or field:find("^cert_content%.") ~= nil, name .. " " .. field)
      end
    end
  end)

  it("never holds a secret", function()
    local client = clients.new(sim, { audit_log = path })
    local kubeconfig = assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
    client:close()
    local text = tempdir.read(path)
    assert.is_nil(text:find(simulator.admin.sk, 1, true))
    local key = kubeconfig.data.users[1].user["client-key-data"]
    assert.is_nil(text:find(key:sub(100, 130), 1, true))
    assert.is_nil(text:find("PRIVATE", 1, true))
    assert.same({ duration = 1 }, require("cce.log.audit_line").arguments(core.json.encode {
      duration = 1, certContent = { privateKey = "secret" }, password = "secret" }))
  end)

  it("says in its first line what it is, and nowhere else", function()
    fill(2)
    fill(1)
    local log = lines()
    assert.equal("lua-cce audit log", log[1].file)
    for i = 2, #log do assert.is_nil(log[i].file) end
    assert.matches('^{"file":"lua%-cce audit log","n":1,', tempdir.read(path))
  end)

  it("is shared by clients, and goes on where it ended", function()
    local one, two = clients.new(sim, { audit_log = path }), clients.new(sim, { audit_log = path })
    assert(one:revoke_cert(sim.clusters[1].id, { user_id = "someone" }))
    assert(two:revoke_cert(sim.clusters[2].id, { user_id = "someone" }))
    one.audit_log:close()
    local three = clients.new(sim, { audit_log = path })
    assert(three:revoke_cert(sim.clusters[3].id, { user_id = "someone" }))
    assert.equal(6, assert(audit_log.verify(path)).count)
    three.audit_log:close()
    for _, client in ipairs { one, two, three } do client:close() end
  end)

  it("is whole with 50 calls under way at once", function()
    local client = clients.new(sim, { audit_log = path })
    local ids = {}
    for i = 1, 200 do ids[i] = sim.clusters[i % 5 + 1].id end
    cce.map(ids, function(id) return client:revoke_cert(id, { user_id = "someone" }) end,
      { concurrency = 50 })
    client:close()
    assert.equal(400, assert(audit_log.verify(path)).count)
  end)

  describe("verify", function()
    local function verify_fails(pattern, options)
      local state, message, err = audit_log.verify(path, options)
      assert.is_nil(state)
      assert.equal("TAMPERED", err.code)
      assert.matches(pattern, message)
    end

    local function rewrite(change)
      local list = {}
      for line in tempdir.read(path):gmatch "[^\n]*\n" do list[#list + 1] = line end
      tempdir.write(path, table.concat(change(list) or list))
    end

    it("returns the head and the count, which the events told", function()
      local last = fill(2)
      local state = assert(audit_log.verify(path, { head = last.head, count = last.count }))
      assert.same({ head = last.head, count = 4 }, state)
      assert.equal(path, last.path)
    end)

    it("accepts what was added since the head was kept", function()
      local first = fill(1)
      fill(2)
      assert(audit_log.verify(path, { head = first.head, count = first.count }))
      assert(audit_log.verify(path, { head = first.head }))
    end)

    it("sees an edit of any byte", function()
      fill(1)
      local text = tempdir.read(path)
      for at = 1, #text - 1 do
        local byte = text:sub(at, at) == "x" and "y" or "x"
        tempdir.write(path, text:sub(1, at - 1) .. byte .. text:sub(at + 1))
        local state, _, err = audit_log.verify(path)
        assert.is_nil(state, at)
        assert.equal("TAMPERED", err.code)
      end
    end)

    it("sees a line that was changed and given its hash anew", function()
      local audit_line = require "cce.log.audit_line"
      for at = 1, 3 do
        fill(2)
        rewrite(function(list)
          local entry = core.json.decode(list[at])
          entry.hash, entry.operation = nil, "another"
          list[at] = audit_line.seal(entry) .. "\n"
          assert.is_table((audit_line.open(list[at]:sub(1, -2))))
        end)
        verify_fails(("line %d .*does not follow from the line before it"):format(at + 1))
        os.remove(path)
      end
    end)

    it("sees a line that is deleted, at the beginning or inside", function()
      for _, at in ipairs { 1, 3 } do
        fill(2)
        rewrite(function(list) table.remove(list, at) end)
        verify_fails(("line %d .*missing or out of order"):format(at))
        os.remove(path)
      end
    end)

    it("sees lines that changed places, and a line twice", function()
      fill(2)
      rewrite(function(list) list[2], list[3] = list[3], list[2] end)
      verify_fails "line 2 .*out of order"
      os.remove(path)
      fill(2)
      rewrite(function(list) table.insert(list, 2, list[1]) end)
      verify_fails "line 2 .*out of order"
    end)

    it("sees lines that are missing at the end by the count or the head", function()
      local last = fill(2)
      rewrite(function(list) table.remove(list) end)
      assert.equal(3, assert(audit_log.verify(path)).count)
      verify_fails("has 3 lines, but had 4", { count = last.count })
      verify_fails("does not have the head", { head = last.head })
      tempdir.write(path, "")
      verify_fails("had 4", { count = 4 })
    end)

    it("sees another chain by the head", function()
      local last = fill(2)
      os.remove(path)
      fill(3)
      verify_fails("does not have the head", { head = last.head, count = last.count })
    end)

    it("needs the key that it was written with", function()
      local last = fill(1, { key = "example-hmac-key" })
      assert(audit_log.verify(path, { key = "example-hmac-key", head = last.head }))
      assert(audit_log.verify(path, { key = core.secret "example-hmac-key" }))
      verify_fails("line 1 .*another key", { key = "example-other-key" })
      verify_fails "line 1 .*another key"
      local log, _, err = audit_log.open(path, { key = "example-other-key" })
      assert.is_nil(log)
      assert.equal("TAMPERED", err.code)
    end)

    it("sees what no log is", function()
      tempdir.write(path, "hello\n")
      verify_fails "line 1 .*is not a line of an audit log"
      assert.equal("FILE_ERROR", select(3, audit_log.open(path)).code)
      assert.equal("FILE_ERROR", select(3, audit_log.verify(dir .. "/none")).code)
      assert.equal("INVALID_ARGUMENT", select(3, audit_log.verify(path, { head = "x" })).code)
    end)
  end)

  describe("whose file others change while it is open", function()
    local client

    before_each(function() client = clients.new(sim, { audit_log = path }) end)
    after_each(function()
      if client.audit_log then client.audit_log:close() end
      client:close()
    end)

    local function revoke(user)
      assert(client:revoke_cert(sim.clusters[1].id, { user_id = user }))
    end

    local function change(command)
      tempdir.check((command:gsub("%%s", path)))
    end

    local function events()
      local list = {}
      for _, event in ipairs(client.events) do
        if event.type == "audit_log" then list[#list + 1] = event end
      end
      return list
    end

    -- As logrotate does it: with create, without, with copytruncate.
    local ROTATIONS = { "mv %s %s.1; touch %s", "mv %s %s.1", "cp %s %s.1; truncate -s 0 %s" }

    for _, rotation in ipairs(ROTATIONS) do
      it("goes on in the file that is there now: " .. rotation:gsub("%%s", "log"), function()
        revoke "one"
        local kept = events()[2]
        change(rotation)
        revoke "two"
        assert.equal(2, select(2, tempdir.read(path):gsub("\n", "")))
        local log = lines()
        assert.equal("lua-cce audit log", log[1].file)
        assert.equal(3, log[1].n)
        assert.equal(kept.head, log[1].previous)
        assert.equal(rotation:find "cp" and path or path .. ".1", log[1].continues)
        assert.is_nil(log[1].after)
        assert.equal(4, events()[4].count)
        assert.equal(log[1].continues, events()[3].continues)
        assert.is_nil(events()[4].continues)
        -- Each alone, both in any order, and with what was kept.
        assert.same({ count = 2, head = kept.head }, assert(audit_log.verify(path .. ".1")))
        local state = assert(audit_log.verify(path))
        assert.same({ count = 4, head = events()[4].head, first = 3, continues = log[1].continues },
          state)
        for _, files in ipairs { { path .. ".1", path }, { path, path .. ".1" } } do
          assert.same({ count = 4, head = state.head }, assert(audit_log.verify(files)))
          assert(audit_log.verify(files, { head = events()[1].head, count = 1 }))
        end
        assert(audit_log.verify(path, { head = kept.head, count = 2 }))
        local none, _, err = audit_log.verify(path, { head = events()[1].head })
        assert.is_nil(none)
        assert.matches(log[1].continues, err.hint, 1, true)
      end)
    end

    it("goes on when it was removed, and names the head that is gone", function()
      revoke "one"
      local kept = events()[2]
      change "rm %s"
      revoke "two"
      local first = lines()[1]
      assert.equal(kept.head, first.previous)
      assert.equal(path, first.continues)
      assert.equal(3, first.n)
    end)

    it("is a series of any length, also for another client of the process", function()
      local files = {}
      for i = 1, 4 do
        revoke("user-" .. i)
        local other = clients.new(sim, { audit_log = path })
        assert(other:revoke_cert(sim.clusters[2].id, { user_id = "someone" }))
        other:close()
        change(("mv %%s %%s.%d"):format(i))
        table.insert(files, 1, path .. "." .. i)
      end
      assert.equal(16, assert(audit_log.verify(files)).count)
      table.insert(files, path)
      tempdir.write(path, "")
      assert.equal(16, assert(audit_log.verify(files)).count)
      table.remove(files, 2)
      local state, message, err = audit_log.verify(files)
      assert.is_nil(state)
      assert.equal("TAMPERED", err.code)
      assert.matches("follow from none of the others", message, 1, true)
      local copied = path .. ".copy"
      change(("cp %%s.2 %s"):format(copied))
      state, message = audit_log.verify { path .. ".1", path .. ".2", copied }
      assert.is_nil(state)
      assert.matches("two of the audit logs", message, 1, true)
    end)

    it("goes on with a log that was put there, and names the head before", function()
      revoke "one"
      change "cp %s %s.bak"
      revoke "two"
      local kept = events()[4]
      change "mv %s.bak %s"
      revoke "three"
      local line = lines()[3]
      assert.equal(3, line.n)
      assert.equal(kept.head, line.after)
      assert.equal(path, line.continues)
      assert.equal(4, assert(audit_log.verify(path)).count)
      local state = audit_log.verify(path, { head = kept.head })
      assert.is_nil(state)
    end)

    for _, rotation in ipairs { "mv %s %s.1", "cp %s %s.1; truncate -s 0 %s", "mv %s %s-20260102",
      "echo x > %s-; mv %s %s-20260102-3; : > %s-2025" } do
      it("goes on in another process, too: " .. rotation:gsub("%%s", "log"), function()
        fill(1)
        change(rotation)
        local last = fill(1)
        assert.equal(4, last.count)
        assert.equal(rotation:match("2026[%d-]+") and path .. "-" .. rotation:match("2026[%d-]+")
          or path .. ".1", lines()[1].continues)
        assert.equal(4, assert(audit_log.verify { path, lines()[1].continues }).count)
      end)
    end

    it("begins anew after a file that is none of its own", function()
      change "mkfifo %s.1"
      fill(1)
      assert.equal(1, lines()[1].n)
      change "rm %s %s.1"
      tempdir.write(path .. ".1", "mine\n")
      fill(1)
      assert.equal(1, lines()[1].n)
      os.remove(path)
      change "rm %s.1"
      fill(1, { key = "example-hmac-key" })
      change "mv %s %s.1"
      fill(1)
      assert.equal(1, lines()[1].n)
    end)

    it("refuses what is put in its place, and leaves it as it is", function()
      revoke "one"
      for _, text in ipairs { "someone's\n", "someone's", "{}\n" } do
        change "rm -f %s"
        tempdir.write(path, text)
        local err = clients.fails("FILE_ERROR", client:revoke_cert(sim.clusters[1].id,
          { user_id = "two" }))
        assert.is_false(err.maybe_applied)
        assert.equal(text, tempdir.read(path))
      end
      change "rm -f %s"
      revoke "three"
      assert.equal(3, lines()[1].n)
      assert.equal(2, #sim:log { operation = "revoke_cert" })
    end)

    it("goes on where it was written to by others only if their lines fit", function()
      revoke "one"
      tempdir.shell(("echo mine >> %s"):format(path))
      clients.fails("TAMPERED", client:revoke_cert(sim.clusters[1].id, { user_id = "two" }))
      assert.matches("\nmine\n$", tempdir.read(path))
    end)

    it("is asked once more with on_failure=warn", function()
      client:close()
      local log = assert(audit_log.open(path, { on_failure = "warn" }))
      client = clients.new(sim, { audit_log = log })
      revoke "one"
      change "rm %s; mkdir %s"
      revoke "two"
      change "rmdir %s"
      revoke "three"
      log:close()
      assert.equal(3, #sim:log { operation = "revoke_cert" })
      assert.equal(3, lines()[1].n)
      local failed = 0
      for _, event in ipairs(client.events) do
        failed = failed + (event.type == "audit_log_failed" and 1 or 0)
      end
      assert.equal(2, failed)
    end)
  end)

  describe("that cannot be written", function()
    -- A limit on the size of files stands for a full disk.
    local function run(on_failure)
      local script = dir .. "/full.lua"
      tempdir.write(script, ([[
        local cce = require "cce"
        local log = assert(cce.audit_log.open(%q, { on_failure = %q }))
        local client = assert(cce.new { endpoint = %q, ca_file = %q, project_id = %q,
          credentials = { ak = %q, sk = %q }, proxy = false, audit_log = log })
        for i = 1, 4 do
          local ok, message, err = client:revoke_cert(%q, { user_id = "someone" })
          print(ok, message, err and err.code, err and err.maybe_applied)
        end]]):format(path, on_failure, sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE,
        sim.project_id, simulator.admin.ak, simulator.admin.sk, sim.clusters[1].id))
      return tempdir.shell(("trap '' XFSZ; ulimit -f 8; exec %s %s 2>&1"):format(
        simulator.interpreter(), script))
    end

    it("refuses the call before it is sent", function()
      local output = run "refuse"
      assert.matches("\nnil\trevoke_cert: not sent, since it cannot be logged.-\tFILE_ERROR\tfalse",
        output)
      local sent = select(2, output:gsub("true\t", ""))
      assert.is_true(sent >= 1 and sent <= 3, output)
      assert.equal(sent, #sim:log { operation = "revoke_cert" })
      -- Room was kept for the outcome of each that was sent.
      assert.equal(2 * sent, assert(audit_log.verify(path)).count)
    end)

    it("warns and sends, with on_failure=warn", function()
      local output = run "warn"
      assert.equal(4, #sim:log { operation = "revoke_cert" })
      assert.matches("cce: revoke_cert is not in the audit log: ", output, 1, true)
      assert.equal(4, select(2, output:gsub("true\tnil", "")))
      assert(audit_log.verify(path))
    end)

    it("refuses when the directory is not there, or another process has it", function()
      local client = clients.new(sim, { audit_log = dir .. "/none/audit.log" })
      local err = clients.fails("FILE_ERROR", client:revoke_cert(sim.clusters[1].id,
        { user_id = "someone" }))
      assert.is_false(err.maybe_applied)
      client:close()
      local holder = assert(core.journal(path, "audit log"))
      local other = clients.new(sim, { audit_log = path })
      clients.fails("CONFLICT", other:revoke_cert(sim.clusters[1].id, { user_id = "someone" }))
      assert.is_true(#other.slept > 10)
      other:close()
      assert.same({}, sim:log { operation = "revoke_cert" })
      other = clients.new(sim, { audit_log = path })
      other.sleep = function() holder:close() end
      assert(other:revoke_cert(sim.clusters[1].id, { user_id = "someone" }))
      other.audit_log:close()
      other:close()
    end)
  end)

  it("is a path or a log", function()
    local client, _, err = cce.new { endpoint = sim.env.CCE_ENDPOINT, project_id = "p",
      token = "example-token", audit_log = {} }
    assert.is_nil(client)
    assert.equal("INVALID_ARGUMENT", err.code)
    clients.raises("unknown option 'kay'", function() audit_log.open(path, { kay = "x" }) end)
    clients.raises("string or list expected", function()
      audit_log.verify { path, nil, path }
    end)
  end)
end)
