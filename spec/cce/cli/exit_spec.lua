-- The table of exit codes in manual/errors.md, over the commands and what can become of them. 0 is
-- never returned for something that did not happen: where a line changes something, the simulator's
-- own log says whether it did.
local command = require "spec.support.command"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")) then
  describe("exit codes", function() pending "needs nginx, argparse and luasql.sqlite3" end)
  return
end

local MEMBER = simulator.member.principal.id
local ROTATE = "rotate cluster-001 --component service-account-controller --no-wait --yes"
local REVOKE = "revoke cluster-001 --user " .. MEMBER .. " --yes"
local ADD = "schedule add revoke cluster-001 --user " .. MEMBER
local KUBECTL = { KUBERNETES_EXEC_INFO = command.exec_info() }
local ENTRY = "$(cce schedule list -o name)"

local function refused(operation) return { operation = operation, status = 403, times = 9 } end
local LOOP = "version; mkdir -p .local/state; ln -s cce .local/state/cce"
local NO_CLUSTERS = { operation = "list_clusters", status = 200, body = '{"items":[]}' }
-- The simulator does it, and its answer is lost.
local function lost(operation) return { operation = operation, reset = "after", times = 9 } end

-- A line, its exit code, and: `did`: the operations that the simulator must have accepted, and no
-- others; `first`: lines before it; `fault`; `env`; `cloud`: it ends with 1 where nothing answers;
-- `says`: what must be printed.
local ROWS = {
  -- done
  { "obtain cluster-001 --days 1 --out k", 0, did = "obtain_cert", cloud = true },
  { "ensure cluster-001 --days 1 --out k", 0, did = "obtain_cert", cloud = true },
  { "ensure --all --days 1 --dir d", 0, did = "obtain_cert", cloud = true },
  { REVOKE, 0, did = "revoke_cert", cloud = true },
  { ROTATE, 0, did = "rotate_credentials", cloud = true },
  { "grant cluster-001 --for 1h --allow-self --out k", 0, did = "obtain_cert", cloud = true },
  { "credential --cluster CLUSTER", 0, did = "obtain_cert", cloud = true, env = KUBECTL },
  { "status", 0, cloud = true }, { "clusters", 0, cloud = true }, { "users", 0, cloud = true },
  { "agencies", 0, cloud = true }, { "deleted", 0, cloud = true },
  { "downloads", 0, cloud = true }, { "holders", 0, cloud = true }, { "doctor", 0, cloud = true },
  { "jobs show nosuch", 1, says = "not found" },
  { "jobs wait $(cce " .. ROTATE .. [[ -o json | sed -n 's/.*"job_id": "\(.*\)".*/\1/p')]], 0,
    did = "rotate_credentials" },
  { "who k", 0, first = { "obtain cluster-001 --days 1 --out k" }, did = "obtain_cert" },
  { "expiry k", 0, first = { "obtain cluster-001 --days 1 --out k" }, did = "obtain_cert" },
  { "logout", 0 }, { "runs list", 0 }, { "schedule list", 0 }, { "profiles", 0 },
  { "metrics", 0 }, { "completion bash", 0 }, { "version", 0 }, { "help", 0 },
  { "help schedule add", 0 }, { "repl", 0 }, { "", 0 }, { "--version", 0 },
  { "__complete -- cce clu", 0 },
  { "log verify a", 0, first = { "obtain cluster-001 --days 1 --out k --audit-log a" },
    did = "obtain_cert" },
  { ADD .. " --at +1h", 0 }, { "schedule run --once", 0 },
  { "schedule run --once", 0, first = { ADD .. " --at +0s" }, did = "revoke_cert" },
  { "schedule show " .. ENTRY, 0, first = { ADD .. " --at +1h" } },
  { "schedule cancel " .. ENTRY, 0, first = { ADD .. " --at +1h" } },
  { "schedule hasten " .. ENTRY, 0, first = { ADD .. " --at +1h" } },
  { "schedule export e", 0, first = { ADD .. " --at +1h" } },
  -- told beforehand
  { "obtain cluster-001 --days 1 --out k --dry-run", 0, says = "dry run" },
  { "ensure cluster-001 --days 1 --out k --dry-run", 0, says = "dry run" },
  -- Rights are read with a certificate of 15 minutes.
  { "leaver nosuch --yes", 64, says = "there is no user" },
  { "leaver member --yes", 1, fault = refused "list_users", says = "cannot be looked up" },
  { REVOKE .. " --dry-run", 0, says = "dry run" }, { ROTATE .. " --dry-run", 0, says = "dry run" },
  { "grant cluster-001 --for 1h --allow-self --out k --dry-run", 0, says = "dry run" },
  { "schedule cancel " .. ENTRY .. " --dry-run", 0, first = { ADD .. " --at +1h" } },
  -- failed for good
  -- What cannot be revoked in a cluster of CCE Autopilot did not happen.
  { "leaver member --dry-run", 1, says = "failed autopilot-001", did = "obtain_cert" },
  { "leaver member --yes", 1, says = "failed autopilot-001", did = "obtain_cert revoke_cert" },
  { "obtain cluster-001 --days 1 --out k", 1, fault = refused "obtain_cert", says = "403" },
  { "obtain cluster-001 --days 1 --out /proc/k", 1 },
  { "ensure --all --days 1 --dir d", 2, fault = refused "obtain_cert", says = "pending" },
  { REVOKE, 1, fault = { operation = "revoke_cert", status = 400 }, says = "400" },
  { "grant cluster-001 --for 1h --allow-self --out k", 1, fault = refused "obtain_cert" },
  { "credential --cluster CLUSTER", 1, fault = refused "obtain_cert", env = KUBECTL },
  { "credential --cluster CLUSTER", 64, says = "KUBERNETES_EXEC_INFO" },
  { "status", 1, fault = refused "list_clusters" },
  { "clusters", 1, fault = refused "list_clusters" }, { "clusters nosuch", 1, says = "no cluster" },
  { "users", 1, fault = refused "list_users" }, { "agencies", 1, fault = refused "list_agencies" },
  { "deleted", 1, fault = refused "list_traces" },
  { "downloads", 1, fault = refused "list_traces" },
  { "downloads nosuch", 1, says = "no cluster" }, { "status nosuch", 1, says = "no cluster" },
  { "holders nosuch", 1, says = "no cluster" }, { "doctor", 1, fault = refused "list_clusters" },
  { "doctor", 1, env = { CCE_ENDPOINT = "" }, says = "FAILED" },
  { "obtain nosuch --days 1 --out k", 1, says = "no cluster" },
  { "ensure nosuch --days 1 --out k", 1, says = "no cluster" },
  { "revoke nosuch --user " .. MEMBER .. " --yes", 1, says = "no cluster" },
  { "rotate nosuch --yes", 1, says = "no cluster" },
  { "grant nosuch --for 1h --allow-self --out k", 1, says = "no cluster" },
  { "schedule add revoke nosuch --user " .. MEMBER .. " --at +1h", 1, says = "no cluster" },
  { "rotate --name nosuch-* --yes", 1, says = "no cluster fits" },
  { "revoke --name nosuch-* --user " .. MEMBER .. " --yes", 1, says = "no cluster fits" },
  { "ensure --name nosuch-* --days 1 --dir d", 1, says = "no cluster fits" },
  { "jobs wait nosuch", 1, says = "not found" }, { "who nosuch", 1 }, { "expiry nosuch", 1 },
  { "log verify nosuch", 1 }, { "rotate --resume", 1, says = "nothing to resume" },
  -- Journals that cannot be looked for are not none.
  { "runs list", 1, says = "cannot list", first = { LOOP } },
  { "runs show", 1, says = "cannot list", first = { LOOP } },
  { "status", 0, says = "cannot list", first = { LOOP } },
  { "metrics --store sqlite:none", 0, says = "cce_journals_unreadable 1", first = { LOOP } },
  { "runs show nosuch", 1 }, { "runs discard nosuch --yes", 1 },
  { "runs settle nosuch c --happened", 1 },
  { "schedule show 0000000000000000", 1 }, { "schedule cancel 0000000000000000", 1 },
  { "schedule retry 0000000000000000", 1 }, { "schedule hasten 0000000000000000", 1 },
  { "schedule import nosuch", 1 },
  { "--profile nosuch clusters", 1, says = "no profile" },
  { "--profile p clusters", 1, says = "hint: Check the profile's ca_file", first = {
    "version; mkdir -p .config/cce; printf '[p]\nca_file = /nosuch' >.config/cce/config" } },
  { "repl", 1, input = "return 1 +* 2\n" },
  { "clusters", 1, env = { HUAWEICLOUD_SDK_SK = "sim-example-wrong-secret-key-0010" },
    says = "secret key is wrong" },
  { "clusters", 1, env = { CCE_ENDPOINT = "" }, says = "where CCE is" },
  { "clusters", 1, into = "/dev/full", says = "could not be written" },
  { "", 1, into = "/dev/full", says = "could not be written" },
  { "--version", 1, into = "/dev/full", says = "could not be written" },
  { "schedule add revoke --help", 1, into = "/dev/full", says = "could not be written" },
  -- A note behind the result takes it out of what is still to be written.
  { "schedule hasten " .. ENTRY, 1, into = "/dev/full", says = "could not be written",
    first = { ADD .. " --at +1h" } },
  { "clusters -f - </", 1, says = "cannot read standard input: Is a directory" },
  { "who - <&-", 1, says = "cannot read standard input: Bad file descriptor" },
  -- open
  { "obtain cluster-001 --days 1 --out k", 2, fault = lost "obtain_cert", did = "obtain_cert" },
  { REVOKE, 2, fault = refused "revoke_cert", says = "pending" },
  { ROTATE .. " --journal w --not 2000-01-01/2900-01-01", 2,
    says = "outside of its windows" },
  { REVOKE, 2, fault = lost "revoke_cert", did = "revoke_cert" },
  { "rotate cluster-001 --yes", 2, fault = refused "rotate_credentials", says = "pending" },
  { "who k --check", 2, first = { "obtain cluster-001 --days 1 --out k",
    "who k >/dev/null; sed -i 's/127\\.[0-9.]*:[0-9]*/127.0.0.1:1/' k; true" },
    did = "obtain_cert" },
  -- nothing was left to do
  { ROTATE .. " --run r", 3, first = { ROTATE .. " --run r" }, did = "rotate_credentials" },
  { REVOKE .. " --journal j --run r", 3, first = { REVOKE .. " --journal j --run r" },
    did = "revoke_cert" },
  { "ensure --all --days 1 --dir d", 3, fault = NO_CLUSTERS, says = "no clusters: nothing was" },
  { (REVOKE:gsub("cluster%-001", "--all")), 3, fault = NO_CLUSTERS, says = "no clusters: nothing" },
  { (ROTATE:gsub("cluster%-001", "--all")), 3, fault = NO_CLUSTERS, says = "no clusters: nothing" },
  -- overdue, or not as it should be
  { "schedule list --status overdue", 4, fault = refused "revoke_cert",
    first = { ADD .. " --at +0s", "schedule run --once >/dev/null; true" } },
  { "schedule run --once", 4, fault = refused "revoke_cert", first = { ADD .. " --at +0s" } },
  { "expiry k --within 2d", 4, first = { "obtain cluster-001 --days 1 --out k" },
    did = "obtain_cert" },
  { "holders --expected nobody", 4, did = "obtain_cert",
    first = { "obtain cluster-001 --days 1 --out k && : > nobody" } },
  -- wrong use
  { "nosuch", 64 }, { "schedule", 64 }, { "runs", 64 }, { "jobs", 64 }, { "schedule add", 64 },
  { "help nosuch", 64 }, { "completion tcsh", 64 }, { "completion", 64 },
  { "obtain", 64 }, { "obtain cluster-001", 64 }, { "obtain cluster-001 --out k", 64 },
  { "obtain cluster-001 --days 1 --out nosuch/k", 64, says = "no directory" },
  { "obtain cluster-001 --days 0 --out k", 64, says = "--days is 0" },
  { "obtain cluster-001 --days x --out k", 64 }, { "ensure", 64 },
  { "ensure cluster-001 --days 1", 64 }, { "ensure --all --days 1 --out k", 64 },
  { "rotate", 64 }, { "rotate --yes", 64, says = "no cluster is named" },
  { "rotate --resume cluster-001 --yes", 64, says = "neither clusters nor" },
  { "rotate --resume -f k --yes", 64, says = "neither clusters nor" },
  { "rotate --resume --name c* --yes", 64, says = "neither clusters nor" },
  { "rotate --resume --component all --yes", 64, says = "neither clusters nor" },
  { "rotate --resume --expiration-hours 9 --yes", 64, says = "neither clusters nor" },
  { "rotate cluster-001", 64, says = "nothing was done" }, { "rotate --all --rate x --yes", 64 },
  { "rotate cluster-001 --component custom --yes", 64, says = "--cert" },
  { "rotate cluster-001 --days 3 --yes", 64, says = "--reissue" },
  { "rotate cluster-001 --until +2h --yes", 64, says = "--reissue" },
  { REVOKE .. " --principal agency", 64, says = "--principal says" },
  { REVOKE .. " --partial", 64, says = "--partial needs" },
  { "rotate cluster-001 --expiration-hours 0 --yes", 64, says = "--accept-token-loss" },
  { "schedule add rotate cluster-001", 64,
    says = "--at, or --every\n  hint: cce help schedule add rotate\n" },
  { "schedule list --limit 0", 64, says = "hint: cce help schedule list\n",
    first = { ADD .. " --at +1h" } },
  { "revoke cluster-001", 64 }, { "revoke --user " .. MEMBER .. " --yes", 64 },
  { "revoke cluster-001 --user " .. MEMBER, 64, says = "nothing was done" },
  { "revoke cluster-001 --user nobody --yes", 64, says = "no user 'nobody'" },
  { "revoke cluster-001 --user " .. simulator.admin.principal.id .. " --yes", 64 },
  { "grant cluster-001 --for 1h --out k", 64 }, { "grant cluster-001 --for 1m --out k", 64 },
  { "clusters -o jsn", 64 }, { "clusters --project x/y", 64 }, { "clusters --endpoint x", 64 },
  { "configure", 64, says = "no terminal" }, { "repl --nosuch", 64 }, { "sim", 64 },
  { "runs discard", 64, first = { "rotate cluster-001 --yes 2>/dev/null; true" },
    fault = refused "rotate_credentials" },
  -- What means nothing there.
  { "help -o json", 64, says = "-o json means nothing here" }, { "completion bash -o name", 64 },
  { "metrics -o yaml", 64 }, { "repl -o json", 64 }, { "sim --dir d -o json", 64 },
  { "schedule export -", 64, says = "a file of that name is ./-" }, { "schedule import -", 64 },
  { "metrics -", 64 }, { "log verify -", 64 },
  { "revoke cluster-001 --kubeconfig - --yes", 64, says = "--kubeconfig: - is neither" },
  { REVOKE .. " --journal -", 64 }, { REVOKE .. " --report -", 64 },
  { "clusters --ca-file -", 64, says = "--ca-file: - is neither" },
  { "ensure cluster-001 --days 1 --out -", 64 }, { "ensure --all --days 1 --dir -", 64 },
  { ADD, 64 }, { ADD .. " --at yesterday", 64 }, { "schedule show nosuch", 64 },
  { "schedule list --store mysql:x", 64 },
  -- No file is named: nothing is known of what is overdue there.
  { "schedule list --store sqlite: --status overdue", 64 },
  { "grant cluster-001 --for 300w --allow-self --out k --dry-run", 64, says = "--for is five" },
  { "schedule add rotate --all --every x", 64 },
}

local CHANGES = { "obtain_cert", "revoke_cert", "rotate_credentials" }

describe("exit codes", function()
  local sim, world

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local function start(line, row, env)
    line = line:gsub("CLUSTER", sim.clusters[1].id)
    return world:start({ "bash", "-c", ("cd; set -f; cce %s%s"):format(line,
      row.into and " >" .. row.into or "") }, { env = env or row.env, input = row.input })
  end

  local function check(row, result)
    local told = ("cce %s\n%s%s"):format(row[1], result.out, result.err)
    assert.equal(row[2], result.code, told)
    if row[2] ~= 0 and not row.into then assert.matches("%S", result.out .. result.err) end
    if row.says then assert.matches(row.says, told, 1, true) end
    -- A mistake of ours is no outcome.
    assert.is_nil(result.err:find("should not happen", 1, true), told)
  end

  local function check_changes(row)
    for _, operation in ipairs(CHANGES) do
      local did = #sim:log { operation = operation, accepted = true } > 0
      local expected = (row.did or ""):find(operation, 1, true) ~= nil
      assert.equal(expected, did, row[1] .. ": " .. operation)
    end
  end

  local at_once = {}

  for _, row in ipairs(ROWS) do
    local what = row.fault and (row.fault.reset and ", with answers lost"
      or row.fault == NO_CLUSTERS and ", without clusters" or ", when refused") or ""
    if not (row.did or row.first or row.fault) then
      at_once[#at_once + 1] = row
    else
      it(("%d: cce %s%s"):format(row[2], row[1]:gsub(MEMBER, "MEMBER"), what), function()
        if row.fault then sim:fault(row.fault) end
        for _, before in ipairs(row.first or {}) do
          local result = start(before, {})()
          assert.equal(0, result.code, before .. "\n" .. result.err)
        end
        check(row, start(row[1], row)())
        check_changes(row)
      end)
    end
  end

  local BATCH = 8

  it("of lines that change nothing", function()
    for from = 1, #at_once, BATCH do
      local ends = {}
      for i = from, math.min(from + BATCH - 1, #at_once) do
        ends[i] = start(at_once[i][1], at_once[i])
      end
      for i, wait in pairs(ends) do check(at_once[i], wait()) end
    end
    check_changes { "any of them" }
  end)

  local function with(env, more)
    local all = {}
    for _, each in ipairs { env, more or {} } do
      for name, value in pairs(each) do all[name] = value end
    end
    return all
  end

  it("are never 0 where nothing answers", function()
    local away = { CCE_ENDPOINT = "https://127.0.0.1:1", CCE_CTS_ENDPOINT = "https://127.0.0.1:1",
      HUAWEICLOUD_SDK_IAM_ENDPOINT = "https://127.0.0.1:1",
      HUAWEICLOUD_SDK_STS_ENDPOINT = "https://127.0.0.1:1" }
    local ends = {}
    for _, row in ipairs(ROWS) do
      if row.cloud then ends[row] = start(row[1], row, with(away, row.env)) end
    end
    for row, wait in pairs(ends) do
      local result = wait()
      assert.equal(1, result.code, row[1] .. "\n" .. result.out .. result.err)
    end
  end)

  it("know every command", function()
    local seen = {}
    for _, row in ipairs(ROWS) do
      seen[row[1]:match "^[%w_]*"] = true
    end
    for _, name in ipairs(require("cce.cli").commands) do assert.is_true(seen[name], name) end
  end)

  it("are those of the manual, the manual page and the help", function()
    local exit = require "cce.cli.exit"
    local manual = tempdir.read "manual/errors.md"
    local codes = {}
    for _, each in ipairs(exit.meanings) do codes[each[1]] = each[2] end
    for code, meaning in manual:match "\n## Exit codes of the command\n(.*)":gmatch
      "\n| (%d+) | ([^|]-) |" do
      assert.equal(codes[tonumber(code)], meaning:sub(1, #codes[tonumber(code)]))
      codes[tonumber(code)] = nil
    end
    assert.same({}, codes)
    for _, row in ipairs(ROWS) do codes[row[2]] = true end
    -- What Ctrl-C ends is told by the specs of the commands.
    for _, each in ipairs(exit.meanings) do
      assert.equal(each[1] ~= exit.INTERRUPTED, codes[each[1]] or false, each[1])
    end
  end)
end)
