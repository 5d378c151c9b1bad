local cce = require "cce"
local clients = require "spec.support.clients"
local directories = require "cce.base.directories"
local json = require "cce.base.json"
local kubeconfig = require "cce.kubeconfig"
local probe = require "cce.kubeconfig.probe"
local read = require "cce.kubeconfig.read"
local pki = require "spec.support.peer.pki"
local simulator = require "spec.support.sim"
local sys = require("cce.core").sys
local tempdir = dofile "spec/support/tempdir.lua"

local unpack = table.unpack or unpack

local DAY = 86400
local PRIVATE = "rw-------"
local KEPT = tempdir.read "spec/fixtures/kubeconfig_kept.yaml"

if not simulator.has_program "nginx" then
  describe("cce.workflow.issue", function() pending "needs nginx" end)
  return
end

describe("cce.workflow.issue", function()
  local sim, client, dir, path

  before_each(function()
    sim = simulator.get()
    sim:reset()
    client = clients.new(sim)
    dir = tempdir.new()
    path = dir .. "/config"
  end)

  after_each(function()
    client:close()
    tempdir.remove(dir)
  end)

  local function issue(opts, who)
    local all = { duration = 30 }
    for name, value in pairs(opts) do all[name] = value end
    return cce.workflow.issue(who or client, all)
  end

  local function issued()
    return #sim:log { operation = "obtain_cert" }
  end

  local function mode_of(file)
    return tempdir.shell("ls -ld " .. file):sub(2, 10)
  end

  local function kubectl(arguments)
    return tempdir.shell(("HOME=%s kubectl --kubeconfig %s %s"):format(dir, path, arguments))
  end

  local has_kubectl = simulator.has_program "kubectl"

  describe("into a directory", function()
    it("makes a file for each cluster, private and with a safe context", function()
      local report = assert(issue { dir = dir .. "/fleet" })
      assert.equal(5, #report.ok)
      assert.equal(0, report:exit_code())
      assert.equal("rwx------", mode_of(dir .. "/fleet"))
      assert.equal(5, #tempdir.list(dir .. "/fleet"))
      for _, item in ipairs(report.ok) do
        assert.is_true(item.renewed)
        assert.equal(("%s/fleet/%s.json"):format(dir, item.name), item.path)
        assert.equal(item.name, item.context)
        assert.is_true(math.abs(item.expires_at - sys.time() - 30 * DAY) < 600)
        local config = assert(kubeconfig.load(item.path))
        assert.equal(item.cluster_id, config.cluster_id)
        assert.equal(PRIVATE, mode_of(item.path))
        for _, row in ipairs(config:contexts()) do
          assert.is_true(not row.current or row.verifies_tls)
        end
      end
    end)

    it("makes it as its dry run says, those above it too, but not where a link is", function()
      for _, dry_run in ipairs { true, false } do
        local report = assert(issue { dir = dir .. "/a/b/", dry_run = dry_run })
        assert.equal(0, report:exit_code())
      end
      assert.equal(5, #tempdir.list(dir .. "/a/b"))
      tempdir.check(("ln -s %s/none %s/link"):format(dir, dir))
      for _, dry_run in ipairs { true, false } do
        for _, below in ipairs { "/link", "/link/x" } do
          local report, _, err = issue { dir = dir .. below, dry_run = dry_run }
          assert.same({ nil, "FILE_ERROR" }, { report, err.code })
          assert.matches("^cannot make directory .*link", err.message)
        end
      end
      assert.equal(5, issued())
    end)

    it("obtains nothing twice, only what is near its end or asked for anew", function()
      assert.equal(dir .. "/cluster-001.json", assert(issue { dir = dir .. "//" }).ok[1].path)
      local report = assert(issue { dir = dir })
      assert.equal(5, #report.ok)
      assert.is_false(report.ok[1].renewed)
      assert.is_number(report.ok[1].expires_at)
      assert.equal(5, issued())
      assert.matches("0 obtained, 5 still good", tostring(report), 1, true)
      assert.not_matches("no cluster is chosen", tostring(report))
      assert.equal(0, #sim:log { operation = "obtain_cert", status = 500 })
      assert(issue { dir = dir, renew = true })
      assert.equal(10, issued())
      assert(issue { dir = dir, min_remaining = 31 * DAY, duration = 40 })
      assert.equal(15, issued())
      assert.equal(5, #tempdir.list(dir))
    end)

    it("keeps what the user added to a file that it renews", function()
      local only = { sim.clusters[1].id }
      local file = assert(issue { dir = dir, clusters = only }).ok[1].path
      local data = json.decode(tempdir.read(file))
      data.contexts[1].context.namespace = "shop"
      tempdir.write(file, json.encode(data))
      assert.is_true(assert(issue { dir = dir, clusters = only, renew = true }).ok[1].renewed)
      assert.equal("shop", json.decode(tempdir.read(file)).contexts[1].context.namespace)
      assert.equal(1, #tempdir.list(dir))
    end)

    it("leaves alone what is not ours", function()
      local name = sim.clusters[1].name
      tempdir.write(dir .. "/" .. name .. ".json", "mine")
      local report = assert(issue { dir = dir })
      assert.equal("mine", tempdir.read(dir .. "/" .. name .. ".json"))
      assert.equal(5, #report.ok)
      assert.equal(6, #tempdir.list(dir))
    end)

    it("puts nothing into a file that is given by its name and holds something else", function()
      local one, other = sim.clusters[1].id, sim.clusters[2].id
      local file = dir .. "/mine.json"
      local function refused(pattern, name)
        local before, sent = tempdir.read(file), issued()
        local item = assert(issue { dir = dir, clusters = { one }, name = name }).pending[1]
        assert.equal("CONFLICT", item.code)
        assert.matches(("'%s' holds something else: "):format(item.path), item.message, 1, true)
        assert.matches(pattern, item.message)
        assert.same({ before, sent }, { tempdir.read(file), issued() })
      end
      local function mine() return "mine" end
      tempdir.write(file, "mine")
      refused("cannot use '.*mine%.json' as a kubeconfig", mine)
      tempdir.write(file, '{"apiVersion":"v1","kind":"Config"}')
      refused("another cluster, or one that nobody marked$", mine)
      os.remove(file)
      assert(assert(client:obtain_cert(other, { duration = 1 })):save(file, { mark = true,
        name = "mine" }))
      refused("another cluster, or one that nobody marked$", mine)
      -- Nor where all names that it could have are taken.
      for _, suffix in ipairs { "", "-01234567", "-" .. one:sub(1, 8), "-" .. one } do
        tempdir.write(("%s/%s%s.json"):format(dir, sim.clusters[1].name, suffix), "mine")
      end
      refused("cannot use '.*" .. one:gsub("%-", "%%-") .. "%.json' as a kubeconfig")
      os.remove(file)
      assert.equal(1, #assert(issue { dir = dir, clusters = { one }, name = mine }).ok)
    end)

    it("saves no two in one file, whatever names it is given", function()
      local report = assert(issue { dir = dir, name = function() return "a name" end })
      assert.same({ 1, 4, 1 }, { #report.ok, #report.pending, issued() })
      assert.matches(("'%s/a-name.json' is to be the file of cluster %s, too"):format(dir,
        report.ok[1].cluster_id), report.pending[1].message, 1, true)
      assert.equal(report.ok[1].cluster_id, assert(kubeconfig.load(report.ok[1].path)).cluster_id)
    end)

    it("leaves alone a file that holds several of ours", function()
      local both = { sim.clusters[1].id, sim.clusters[2].id }
      local files = { dir .. "/cluster-001.json", dir .. "/cluster-002.json" }
      for _, file in ipairs(files) do assert(issue { merge_into = file, clusters = both }) end
      local before = { tempdir.read(files[1]), tempdir.read(files[2]) }
      local report = assert(issue { dir = dir, clusters = both, renew = true })
      assert.equal(2, #report.ok)
      assert.same(before, { tempdir.read(files[1]), tempdir.read(files[2]) })
    end)

    it("says where what was obtained is, when its file became something else meanwhile", function()
      local base = directories.base
      finally(function() directories.base = base end)
      function directories.base() return dir .. "/state" end
      local who = clients.new(sim, { on_event = function(event)
        if event.operation == "obtain_cert" then sys.mkdir(dir .. "/cluster-001.json") end
      end })
      local report = assert(issue({ dir = dir, clusters = { sim.clusters[1].id } }, who))
      who:close()
      local item = report.pending[1] or report.failed[1]
      assert.equal(sim.clusters[1].id, kubeconfig.load(item.err.recovered).cluster_id)
    end)

    it("writes YAML", function()
      assert(issue { dir = dir, format = "yaml", clusters = { sim.clusters[1].id } })
      assert.matches("^apiVersion: v1\n",
        tempdir.read(dir .. "/" .. sim.clusters[1].name .. ".yaml"))
      if pcall(require, "lyaml") then
        assert(issue { dir = dir, format = "yaml", clusters = { sim.clusters[1].id } })
        assert.equal(1, issued())
      end
    end)

    it("takes the names it is given, of the clusters that a function chooses", function()
      local report = assert(issue { dir = dir, name = function(cluster)
        return "team/" .. cluster.name
      end, clusters = function(cluster) return cluster.id == sim.clusters[2].id end })
      assert.equal("team-" .. sim.clusters[2].name, report.ok[1].context)
      assert.equal(1, issued())
    end)
  end)

  describe("into one file", function()
    it("merges all, with contexts named after the clusters", function()
      local report = assert(issue { merge_into = path })
      assert.equal(5, #report.ok)
      assert.same({ "config" }, tempdir.list(dir))
      local config = assert(kubeconfig.load(path))
      local names = {}
      for _, row in ipairs(config:contexts()) do names[row.name] = row.verifies_tls end
      for i, cluster in ipairs(sim.clusters) do
        assert.is_true(names[cluster.name])
        if i % 2 == 0 then assert.is_true(names[cluster.name .. "-internal"]) end
      end
      assert.equal(PRIVATE, mode_of(path))
    end)

    it("obtains what has a CA that is none", function()
      assert(issue { merge_into = path })
      local data = json.decode(tempdir.read(path))
      for _, entry in ipairs(data.clusters) do
        if entry.name == "cluster-001" then
          entry.cluster["certificate-authority-data"] = "QUJD"
        end
      end
      tempdir.write(path, json.encode(data))
      local before = issued()
      for _ = 1, 2 do assert.equal(0, assert(issue { merge_into = path }):exit_code()) end
      assert.equal(before + 1, issued())
    end)

    it("obtains what somebody took the cluster of", function()
      assert(issue { merge_into = path })
      local data = json.decode(tempdir.read(path))
      for i, entry in ipairs(data.clusters) do
        if entry.name == "cluster-001" then table.remove(data.clusters, i) break end
      end
      tempdir.write(path, json.encode(data))
      local before = issued()
      assert.equal(0, assert(issue { merge_into = path }):exit_code())
      assert.equal(before + 1, issued())
      local config = assert(kubeconfig.load(path)):use "cluster-001"
      assert.equal("works", probe.look(client, config).state)
    end)

    it("puts no key where kubectl asks a command", function()
      local first = assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
      assert(first:with_command():save(path, { merge = true, name = "cluster-001" }))
      local before = tempdir.read(path):match '"args".-]'
      for _, renew in ipairs { false, true } do
        local report = assert(issue { merge_into = path, renew = renew })
        assert.same({ 4, 1, 0 }, { #report.ok, #report.skipped, report:exit_code() })
        assert.matches("cce credential", report.skipped[1].message, 1, true)
        assert.equal(before, tempdir.read(path):match '"args".-]')
      end
      local plan = assert(issue { merge_into = path, dry_run = true })
      assert.equal(("skip cluster-001 %s: kubectl asks cce credential for its certificate: it is"
        .. " left as it is"):format(sim.clusters[1].id), plan.plan[1])
      assert.same({ "skip", "cluster-001" }, { plan.steps[1][1][1], plan.steps[1][1][2] })
      -- The CA that another cluster has by now is put there, but not by a plan.
      local text = tempdir.read(path)
      local ca = text:match '"certificate%-authority%-data": ?"([^"]+)"'
      local stale = json.decode(text)
      for _, entry in ipairs(stale.clusters) do
        if entry.cluster["certificate-authority-data"] == ca then
          entry.cluster["certificate-authority-data"] = pki.base64(pki.authority("old").pem)
        end
      end
      tempdir.write(path, json.encode(stale))
      for _, dry_run in ipairs { true, false } do
        local said = assert(issue { merge_into = path, clusters = { sim.clusters[1].id },
          dry_run = dry_run })
        assert.equal(not dry_run, tempdir.read(path):find(ca, 1, true) ~= nil)
        assert.matches(dry_run and "it is left as it is" or "the cluster's new CA was put there",
          tostring(dry_run and said.plan[1] or said.skipped[1].message), 1, true)
      end
      sim:fault { operation = "show_cluster", cluster = sim.clusters[1].id, status = 403 }
      local report = assert(issue { merge_into = path })
      assert.same({ 4, 1, 0 }, { #report.ok, #report.skipped, report:exit_code() })
      assert.matches("it is left as it is; whether its CA is the cluster's is not known: "
        .. "show_cluster cluster " .. sim.clusters[1].id .. ": HTTP 403",
        report.skipped[1].message, 1, true)
    end)

    it("keeps elsewhere what was obtained when the file is spoiled meanwhile", function()
      local state = dir .. "/state"
      local base = directories.base
      finally(function() directories.base = base end)
      function directories.base() return state end
      for i, spoiled in ipairs { "none", '{"users":[{"name":"cluster-001"}],"contexts":[{"name":'
        .. '"cluster-001"}]}' } do
        local who = clients.new(sim, { on_event = function(event)
          if event.operation == "obtain_cert" then tempdir.write(path, spoiled) end
        end })
        os.remove(path)
        local report = assert(issue({ merge_into = path, clusters = { sim.clusters[1].id } }, who))
        who:close()
        local item = (report.failed[1] or report.pending[1])
        local kept = item.message:match "the certificate that was obtained is kept in '(.-)'$"
        assert.equal(sim.clusters[1].id, kubeconfig.load(kept).cluster_id)
        assert.equal(kept, item.err.recovered)
        assert.equal(i, #tempdir.list(state .. "/cce/recovered"))
        assert.equal(spoiled, tempdir.read(path))
      end
    end)

    it("obtains once, and keeps what it has named", function()
      assert(issue { merge_into = path, name = function(cluster) return "x-" .. cluster.name end })
      local text = tempdir.read(path)
      local report = assert(issue { merge_into = path })
      assert.equal(5, issued())
      assert.equal("x-" .. sim.clusters[1].name, report.ok[1].context)
      assert.equal(text, tempdir.read(path))
      local count = #assert(kubeconfig.load(path)):contexts()
      report = assert(issue { merge_into = path, renew = true })
      assert.equal("x-" .. sim.clusters[1].name, report.ok[1].context)
      assert.equal(count, #assert(kubeconfig.load(path)):contexts())
    end)

    it("keeps as a backup the file from before the run", function()
      tempdir.write(path, '{"kind":"Config","x-mine":1}')
      local report = assert(issue { merge_into = path, concurrency = 1 })
      assert.equal(path .. ".bak", report.ok[1].backup)
      assert.is_true(report.ok[1].duration > 0)
      assert.equal('{"kind":"Config","x-mine":1}', tempdir.read(path .. ".bak"))
      assert.equal(1, json.decode(tempdir.read(path))["x-mine"])
    end)

    it("takes several clients, and each cluster once", function()
      local second = clients.new(sim, { key = simulator.member })
      local report = assert(issue({ merge_into = path }, { client, second }))
      second:close()
      assert.equal(5, #report.ok)
      assert.equal(5, issued())
    end)

    it("gives kubectl a context for each cluster that works", function()
      if not has_kubectl then return pending "needs kubectl" end
      assert(issue { merge_into = path })
      for i = 1, 2 do
        assert.matches("Ready", kubectl("get nodes --context " .. sim.clusters[i].name), 1, true)
      end
    end)

    it("touches only our lines in YAML that a person keeps, for kubectl to use", function()
      if not (has_kubectl and pcall(require, "lyaml")) then
        return pending "needs kubectl and lyaml"
      end
      tempdir.write(path, KEPT)
      assert(issue { merge_into = path })
      local diff = tempdir.shell(("diff %s.bak %s"):format(path, path))
      assert.is_nil(("\n" .. diff):find("\n<", 1, true))
      assert.matches("Ready", kubectl("get nodes --context " .. sim.clusters[2].name), 1, true)
      assert.equal("staging\n", kubectl "config current-context")
      local names = kubectl "config get-contexts -o name"
      for _, name in ipairs { "staging", "lab", "demo" } do
        assert.matches("%f[%w]" .. name .. "\n", names)
      end
      -- kubectl rewrites all of it, and the next run goes on with that.
      kubectl("config set-context lab --namespace=shop")
      assert(issue { merge_into = path, renew = true })
      assert.matches("Ready", kubectl("get nodes --context " .. sim.clusters[1].name), 1, true)
      local data = json.decode(kubectl "config view --raw -o json")
      assert.equal("shop", read.find(data, "contexts", "lab").body.namespace)
    end)

    it("fails for all with a remedy when the file cannot be merged into", function()
      if not pcall(require, "lyaml") then return pending "needs lyaml" end
      tempdir.write(path, "users: &all\n- name: a\nold: *all\n")
      local report = assert(issue { merge_into = path })
      assert.equal(5, #report.failed)
      assert.equal("UNSUPPORTED", report.failed[1].code)
      assert.matches("KUBECONFIG=", report.failed[1].hint, 1, true)
      assert.equal(1, report:exit_code())
    end)

    it("is written when twenty wait, and what it was before the run stays beside it", function()
      local fleet = simulator.start { clusters = 22 }
      finally(function() fleet:stop() end)
      local who, counts = clients.new(fleet), {}
      tempdir.write(path, '{"kind":"Config","x-mine":1}')
      local report = assert(issue({ merge_into = path, concurrency = 1, check = false,
        on_progress = function(done)
          counts[done] = select(2, tempdir.read(path):gsub("client%-key%-data", ""))
        end }, who))
      who:close()
      assert.equal(22, #report.ok)
      assert.same({ 0, 20, 20 }, { counts[19], counts[20], counts[22] })
      assert.equal(22, select(2, tempdir.read(path):gsub("client%-key%-data", "")))
      assert.equal('{"kind":"Config","x-mine":1}', tempdir.read(path .. ".bak"))
    end)

    it("keeps what was obtained when it is interrupted", function()
      local ok = pcall(issue, { merge_into = path, concurrency = 1, on_progress = function(done)
        if done == 3 then error "interrupted!" end
      end })
      assert.is_false(ok)
      assert.equal(issued(), #kubeconfig.load(path).data.users)
      assert(issue { merge_into = path })
      assert.equal(5, issued())
    end)
  end)

  it("killed at any moment, leaves a good file, and goes on from there", function()
    local code = ([[
      local cce = require "cce"
      local client = assert(cce.new { endpoint = %q, ca_file = %q, project_id = %q, proxy = false,
        credentials = { ak = %q, sk = %q } })
      cce.workflow.issue(client, { merge_into = %q, duration = 30, renew = true })
    ]]):format(sim.env.CCE_ENDPOINT, sim.env.CCE_CA_FILE, sim.project_id, simulator.admin.ak,
      simulator.admin.sk, path)
    assert(issue { merge_into = path })
    local command = tempdir.lua(code)
    for i = 1, 8 do
      local process = assert(sys.spawn {
        argv = { "/bin/sh", "-c", "exec env " .. command }, stdin = "/dev/null",
        stdout = "/dev/null", stderr = "/dev/null", die_with_parent = true,
      })
      sys.sleep(0.02 + 0.02 * i)
      process:signal "SIGKILL"
      process:wait()
      assert.equal(5, #assert(kubeconfig.load(path)).data.users)
    end
    local report = assert(issue { merge_into = path })
    assert.equal(5, #report.ok)
    for _, entry in ipairs(cce.expiry(path)) do assert.is_true(entry.key_matches) end
  end)

  describe("reports", function()
    it("each failure, and goes on", function()
      sim:fault { operation = "obtain_cert", cluster = sim.clusters[2].id, status = 403 }
      sim:set { cluster = sim.clusters[3].id, phase = "Hibernation" }
      local report = assert(issue { merge_into = path, clusters = {
        sim.clusters[1].id, sim.clusters[2].id, sim.clusters[3].id, "no-such-cluster" } })
      assert.same({ 1, 1, 2 }, { #report.ok, #report.failed, #report.pending })
      assert.equal(1, report:exit_code())
      -- What was obtained by none changes no file.
      local text = tempdir.read(path)
      assert.equal(1, #assert(issue { merge_into = path, clusters = { sim.clusters[2].id } })
        .pending)
      assert.same({ text, "config" }, { tempdir.read(path), table.concat(tempdir.list(dir), " ") })
      assert.equal("PERMISSION_DENIED", report.pending[1].code)
      assert.is_string(report.pending[1].request_id)
      assert.equal("NOT_FOUND", report.failed[1].code)
      assert.matches("Hibernation, not Available", report.pending[2].message, 1, true)
      assert.is_nil(tostring(report):find("PRIVATE", 1, true))
    end)

    it("what a dry run would do, which sends and writes nothing", function()
      assert(issue { merge_into = path, clusters = { sim.clusters[1].id } })
      local text, before = tempdir.read(path), issued()
      local report = assert(issue { merge_into = path, dry_run = true })
      assert.equal(before, issued())
      assert.equal(text, tempdir.read(path))
      assert.equal(5, #report.plan)
      assert.matches("^keep " .. sim.clusters[1].name:gsub("%-", "%%-"), report.plan[1])
      assert.matches("^obtain .*: there is none yet$", report.plan[2])
      assert(issue { dir = dir .. "/none", dry_run = true })
      assert.same({ "config" }, tempdir.list(dir))
      -- What cannot be done needs no place.
      sim:set { cluster = sim.clusters[2].id, phase = "Hibernation" }
      report = assert(issue { dir = "/proc/none/such", dry_run = true,
        clusters = { sim.clusters[2].id } })
      assert.equal("CONFLICT", report.pending[1].code)
      assert.equal("cannot issue cluster-002 " .. sim.clusters[2].id
        .. ": the cluster is Hibernation, not Available", report.plan[1])
      clients.fails("FILE_ERROR", issue { dir = "/proc/none/such", dry_run = true })
      report = assert(issue { dir = dir, dry_run = true, clusters = { "c1-unlisted" } })
      assert.same({ "obtain", "c1-unlisted", "c1-unlisted", dir .. "/c1-unlisted.json" },
        { unpack(report.steps[1][1], 1, 4) })
    end)

    it("what was not begun when it is cancelled", function()
      local report = assert(issue { merge_into = path, concurrency = 1,
        on_progress = function(done) return done < 2 end })
      assert.equal(2, #report.ok)
      assert.equal(3, #report.pending)
      assert.equal("CANCELLED", report.pending[1].code)
      assert.equal(2, report:exit_code())
    end)

    it("as a plain table", function()
      local plain = assert(issue { merge_into = path }):to_table()
      assert.equal(5, plain.counts.ok)
      assert.equal(path, plain.ok[1].path)
      assert.is_string(json.encode(plain))
    end)
  end)

  it("is done when no cluster is chosen", function()
    local report = assert(issue { dir = dir, clusters = { name = "nothing*" } })
    assert.equal(0, report:exit_code())
    assert.matches("no cluster is chosen", tostring(report), 1, true)
  end)

  describe("with a journal", function()
    local journal

    before_each(function() journal = dir .. "/issue.journal" end)

    it("goes on with what is open, and with nothing else", function()
      local opts = { merge_into = path, journal = journal, renew = true }
      sim:fault { operation = "obtain_cert", cluster = sim.clusters[2].id, status = 403 }
      sim:set { cluster = sim.clusters[3].id, phase = "Hibernation" }
      local report = assert(issue(opts))
      assert.same({ 3, 2, 2 }, { #report.ok, #report.pending, report:exit_code() })
      sim:clear_faults()
      sim:set { cluster = sim.clusters[3].id, phase = "Available" }
      local before = issued()
      report = assert(issue(opts))
      assert.same({ 5, 0 }, { #report.ok, report:exit_code() })
      assert.equal(before + 2, issued())
      report = assert(issue(opts))
      assert.same({ 5, 3 }, { #report.ok, report:exit_code() })
      assert.equal(path, report.ok[1].path)
      assert.is_true(report.ok[1].expires_at > sys.time())
      assert.equal(before + 2, issued())
      opts.run = "tomorrow"
      assert.equal(0, assert(issue(opts)):exit_code())
      assert.equal(before + 7, issued())
    end)

    it("goes on with what no list has any more, and not with what it left as it was", function()
      local first = assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
      assert(first:with_command():save(path, { merge = true, name = "cluster-001" }))
      local opts = { merge_into = path, journal = journal, clusters = { sim.clusters[1].id,
        sim.clusters[2].id } }
      sim:fault { operation = "obtain_cert", status = 403 }
      assert.same({ 1, 1 }, { #assert(issue(opts)).skipped, #assert(issue(opts)).pending })
      sim:clear_faults()
      sim:fault { operation = "list_clusters", status = 200, body = '{"items":[]}' }
      assert.equal(0, assert(issue(opts)):exit_code())
      assert.equal(3, assert(issue(opts)):exit_code())
    end)

    it("refuses another plan under the same name", function()
      assert(issue { merge_into = path, journal = journal })
      clients.fails("CONFLICT", issue { dir = dir, journal = journal })
    end)

    it("keeps what was obtained before an interrupt", function()
      local opts = { dir = dir, journal = journal, concurrency = 1, on_progress = function(done)
        if done == 2 then error("interrupted", 0) end
      end }
      assert.is_false(pcall(issue, opts))
      opts.on_progress = nil
      local before = issued()
      local report = assert(issue(opts))
      assert.equal(5, #report.ok)
      assert.equal(before + 3, issued())
    end)
  end)

  describe("asks each cluster, and", function()
    local function revoke(cluster)
      assert(client:revoke_cert(cluster.id, { user_id = simulator.admin.principal.id }))
    end

    for _, place in ipairs { "dir", "merge_into" } do
      it("renews what it refuses in " .. place, function()
        local where = { [place] = place == "dir" and dir or path }
        assert(issue(where))
        revoke(sim.clusters[3])
        local plan = assert(issue { [place] = where[place], dry_run = true }).plan
        assert.matches("the cluster refuses it", plan[3], 1, true)
        local report = assert(issue(where))
        assert.equal(6, issued())
        assert.equal(5, #report.ok)
        for _, item in ipairs(report.ok) do assert.equal("works", item.asked) end
        revoke(sim.clusters[3])
        assert(issue { [place] = where[place], check = false })
        assert.equal(6, issued())
      end)
    end

    it("keeps what it cannot ask about, and says so", function()
      assert(issue { merge_into = path })
      local data = json.decode(tempdir.read(path))
      -- Each of ours has two entries.
      for i = 1, 4 do data.clusters[i].cluster.server = "https://127.0.0.1:1" end
      tempdir.write(path, json.encode(data))
      local report = assert(issue { merge_into = path })
      assert.equal(0, report:exit_code())
      assert.matches("not asked: 2 clusters", tostring(report), 1, true)
      assert.equal(5, issued())
    end)

    it("keeps what it could not be asked about by a mistake, and says so", function()
      assert(issue { merge_into = path })
      local look, looks = probe.look, 0
      finally(function() probe.look = look end)
      function probe.look(...)
        looks = looks + 1
        if looks == 1 then error "a mistake" end
        return look(...)
      end
      local report = assert(issue { merge_into = path })
      assert.matches("not asked: 1 cluster gave no answer", tostring(report), 1, true)
      local asked = {}
      for _, item in ipairs(report.ok) do asked[item.asked] = (asked[item.asked] or 0) + 1 end
      assert.same({ ["not asked"] = 1, works = 4 }, asked)
    end)

    it("fails, and obtains no second one, when a new one is refused as well", function()
      local obtain = client.obtain_cert
      client.obtain_cert = function(self, id, ...)
        local config = assert(obtain(self, id, ...))
        if id == sim.clusters[1].id then revoke(sim.clusters[1]) end
        return config
      end
      local report = assert(issue { merge_into = path })
      assert.equal(1, report:exit_code())
      assert.matches("no second one", report.failed[1].message, 1, true)
      assert.equal(5, issued())
    end)
  end)

  describe("refuses", function()
    it("a run without a place or a lifetime", function()
      clients.fails("INVALID_ARGUMENT", issue {})
      clients.fails("INVALID_ARGUMENT", issue { dir = dir, merge_into = path })
      clients.fails("INVALID_ARGUMENT", cce.workflow.issue(client, { dir = dir }))
      clients.fails("FILE_ERROR", issue { dir = "/proc/none/such" })
    end)

    it("a list that cannot be had", function()
      sim:fault { operation = "list_clusters", status = 403 }
      clients.fails("PERMISSION_DENIED", issue { dir = dir })
    end)

    it("wrong use, at the line of the call", function()
      clients.raises("unknown option 'durations'", function()
        cce.workflow.issue(client, { durations = 1 })
      end)
      clients.raises("client", function() cce.workflow.issue({}, {}) end)
      for name, value in pairs { clusters = 1, dir = 1, merge_into = 1, name = 1, format = 1,
        journal = 1, run = 1, concurrency = "1", on_progress = 1, dry_run = 1, duration = "1",
        expire_at = "1", min_remaining = "1", renew = 1, timeout = "1", check = 1 } do
        clients.raises("bad option '" .. name .. "'", function()
          cce.workflow.issue(client, { [name] = value })
        end)
      end
    end)
  end)
end)
