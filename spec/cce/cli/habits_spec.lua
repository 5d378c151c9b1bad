-- What hands do that come from kubectl, gh and aws: the same here, or a sentence that says what to
-- type instead. Where kubectl has the like, it is asked, too: both succeed, or both refuse, and on
-- the same stream.
local command = require "spec.support.command"
local nginx = require "spec.support.peer.nginx"
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local terminals = require "spec.support.terminal"

if not (simulator.has_program "nginx" and pcall(require, "argparse")
  and pcall(require, "luasql.sqlite3")) then
  describe("a habit", function() pending "needs nginx, argparse and luasql.sqlite3" end)
  return
end

-- A line, its exit code, and what it must print: `out` on standard output, `err` on the other.
local HABITS = {
  { "-h at each level", {
    { "cce -h", 0, out = "Usage: cce ", kubectl = "kubectl -h" },
    { "cce schedule -h", 0, out = "\n   hasten ", kubectl = "kubectl config -h" },
    { "cce schedule add revoke --help", 0, out = "Usage: cce schedule add revoke",
      kubectl = "kubectl config set-context --help" },
    { "cce clusters -h", 0, out = "--profile PROFILE" }, { "cce", 0, out = "Usage: cce " },
    { "cce help schedule add", 0, out = "Usage: cce schedule add ",
      kubectl = "kubectl help config" },
  } },
  { "a group without its command", {
    { "cce schedule", 64, err = "\n   hasten " }, { "cce schedule add", 64, err = "\n   rotate " },
  } },
  { "--help after a wrong option", {
    { "cce obtain --bogus --help", 64, err = "unknown option '--bogus'\n  hint: cce help obtain\n",
      kubectl = "kubectl get --bogus --help" },
    { "cce schedule add revoke --bogus", 64, err = "hint: cce help schedule add revoke\n" },
  } },
  { "an unknown command", {
    { "cce clutsers", 64, err = "Did you mean 'clusters'?", kubectl = "kubectl gte" },
    { "cce schedule hastne x", 64, err = "Did you mean 'hasten'?", kubectl = "kubectl config vew" },
    { "cce help clutsers", 64, err = "Did you mean 'clusters'?" },
  } },
  { "a typo in an option, and in its value", {
    { "cce obtain cluster-001 --dyas 3 --out k", 64, err = "Did you mean '--days'?" },
    { "cce rotate --all --canary x", 64, err = "cce: --canary: a whole number is expected" },
    { "cce clusters -o jsn", 64, err = "'table', 'json', 'yaml', 'name'",
      kubectl = "kubectl version --client -o jsn" },
    { "cce clusters --profile", 64, err = "requires an argument",
      kubectl = "kubectl get --context" },
  } },
  { "a typo in a cluster's name", {
    { "cce obtain cluster-01 --days 3 --out k", 1, err = "Did you mean 'cluster-001'?" },
    { "cce clusters nosuch", 1, err = "there is no cluster 'nosuch'\n  hint: See: cce clusters" },
    { "cce holders --user membre", 64, err = "Did you mean 'member'?" },
    { "cce rotate --name 'nosuch-*' --yes", 1, err = "no cluster fits --name 'nosuch-*'" },
  } },
  { "-o json | jq, -o yaml, -o name, --no-headers", {
    { "cce clusters -o json | jq -r '.[0].name'", 0, out = "cluster-001\n", program = "jq" },
    { "cce clusters -ojson | jq length", 0, out = "%d+\n", program = "jq", pattern = true },
    { "cce clusters --name 'nosuch-*' -o json | jq -c .", 0, out = "[]\n", program = "jq" },
    { "cce clusters --output=name | head -n 1", 0, out = "c1050000-" },
    { "cce clusters --no-headers | head -n 1", 0, out = "^cluster%-001 ", pattern = true },
  } },
  { "options before and after the command", {
    { "cce -o name clusters cluster-001", 0, out = "c1050000-" },
    { "cce clusters cluster-001 -qo name", 0, out = "c1050000-" },
    { "cce clusters -- cluster-001", 0, out = "cluster-001" },
  } },
  { "| head", {
    { "set -o pipefail; cce clusters | head -n 1; cce clusters -o json | head -n 1", 0,
      out = "NAME", silent = true },
    { "cce clusters -w 0.01 | head -n 2", 0, out = "NAME", silent = true },
  } },
  { "-f - and xargs", {
    { "cce clusters -o name | cce rotate -f - --dry-run", 0, out = "dry run" },
    { "cce clusters -o name | xargs cce rotate --dry-run", 0, out = "dry run" },
  } },
  { "no terminal, and yes |", {
    { "cce revoke --all --user member", 64, err = "nothing was done\n  hint: --yes confirms it" },
    { "yes REVOKE | cce revoke --all --user member", 64, err = "nothing was done" },
  } },
  { "--dry-run", {
    { "cce revoke --all --user member --dry-run", 0, out = "dry run, nothing was sent" },
    { "cce obtain cluster-001 --days 3 --out k --dry-run; test ! -e k", 0, out = "dry run" },
  } },
  { "version", {
    { "cce version", 0, out = "cce ", kubectl = "kubectl version --client" },
    { "cce --version", 0, out = "cce " },
  } },
  { "a profile by name", {
    { "cce --profile nosuch clusters", 1, err = "there is no profile 'nosuch'" },
    { "CCE_PROFILE=nosuch cce clusters", 1, err = "there is no profile 'nosuch'" },
  } },
  { "ls", {
    { "cce schedule ls -o json", 0, out = "[]" }, { "cce runs ls -o json", 0, out = "[]" },
  } },
}

describe("a habit:", function()
  local sim, world

  setup(function() sim = simulator.get() end)

  -- Sends Ctrl-C again at the first word of what the command says of the first.
  local AGAIN = [[
    local methods = getmetatable(io.stderr).__index
    local write = methods.write
    function methods.write(file, text, ...)
      local pid = text:find "cce: interrupted" and io.open("/proc/self/stat"):read("*n")
      if pid then io.popen(("kill -INT %d"):format(pid)):close() end
      return write(file, text, ...)
    end
  ]]

  before_each(function()
    sim:reset()
    world = command.new(sim)
    world.env.KUBECONFIG = "/dev/null"
  end)

  after_each(function() world:remove() end)

  local function start(line)
    return world:start { "bash", "-c", "cd; " .. line }
  end

  local function check(row, result)
    local told = ("%s\n%s%s"):format(row[1], result.out, result.err)
    assert.equal(row[2], result.code, told)
    if row.out then assert.matches(row.out, result.out, 1, not row.pattern) end
    if row.err then assert.matches(row.err, result.err, 1, true) end
    if row.silent then assert.equal("", result.err) end
    -- What was typed wrongly spoils no pipe.
    if row[2] == 64 then assert.equal("", result.out) end
  end

  for _, habit in ipairs(HABITS) do
    it(habit[1], function()
      local ends = {}
      for i, row in ipairs(habit[2]) do
        if simulator.has_program(row.program or "bash") then ends[i] = start(row[1]) end
      end
      for i, wait in pairs(ends) do check(habit[2][i], wait()) end
      assert.same({}, sim:log { operation = "rotate_credentials" })
      assert.same({}, sim:log { operation = "revoke_cert" })
    end)
  end

  it("Ctrl-C while it is being loaded", function()
    for _, module in ipairs { "argparse", "cce.cli" } do
      tempdir.write(world.dir .. "/early.lua", ([[
        package.preload["%s"] = function()
          local pid = io.open("/proc/self/stat"):read("*n")
          io.popen(("kill -INT %%d"):format(pid)):close()
          for _ = 1, 1e8 do math.floor(1) end
        end
      ]]):format(module))
      local result = world:cce({ "rotate", "--all", "--yes" },
        { env = { LUA_INIT = "@" .. world.dir .. "/early.lua" } })
      assert.same({ 130, "", "\ncce: interrupted\n" }, { result.code, result.out, result.err })
    end
  end)

  it("what kubectl does with the like", function()
    if not simulator.has_program "kubectl" then return pending "needs kubectl" end
    for _, habit in ipairs(HABITS) do
      for _, row in ipairs(habit[2]) do
        local theirs = row.kubectl and start(row.kubectl)()
        if theirs then
          assert.equal(theirs.code == 0, row[2] == 0, row.kubectl .. theirs.err)
          assert.equal(theirs.out ~= "", row.out ~= nil, row.kubectl)
        end
      end
    end
  end)

  describe("in a terminal #toolchain", function()
    if not simulator.has_program "tmux" then return pending "needs tmux" end

    local terminal

    before_each(function() terminal = terminals.new(world, 100) end)
    after_each(function() terminal:close() end)

    it("no colours in a pipe", function()
      terminal:start "cce clusters | cat -v; cce status | cat -v"
      local screen, code = terminal:finish()
      assert.equal(0, code)
      assert.matches("cluster-001", screen, 1, true)
      assert.is_nil(screen:find("^[[", 1, true))
    end)

    it("a terminal whose size is not set is as wide as what is written", function()
      terminal:start "stty cols 0; cce clusters; cce clusters nosuch; stty cols 100"
      local screen, code = terminal:finish()
      assert.equal(0, code)
      assert.matches("cluster-001  " .. sim.clusters[1].id .. "  v", screen, 1, true)
      assert.matches("cce: there is no cluster 'nosuch'\n  hint: See:", screen, 1, true)
    end)

    it("breaks prose at words, and not in a file", function()
      local line = "cce revoke --all --user " .. ("nobody-"):rep(10) .. " --yes"
      terminal:start("cd; " .. line .. "; " .. line .. " 2>told")
      local told = "and it is no id\n  hint: See: cce users"
      assert.matches("cce: there is no user 'nobody-[-%a]+',\n  " .. told, (terminal:finish()))
      assert.matches("', " .. told, tempdir.read(world.dir .. "/told"), 1, true)
    end)

    it("Ctrl-C twice ends at once, and says how to go on", function()
      sim:set { job_seconds = 60 }
      tempdir.write(world.dir .. "/again.lua", AGAIN)
      -- A shell without a trap would end the line with what died of the signal.
      terminal:start("trap : INT; LUA_INIT=@$HOME/again.lua cce rotate --all"
        .. " --component service-account-controller --yes")
      nginx.wait_for("a rotation", function()
        return #sim:log { operation = "rotate_credentials", accepted = true } > 0
      end)
      terminal:key "C-c"
      local screen, code = terminal:finish()
      assert.equal(130, code)
      assert.matches("to go on: cce rotate --resume", screen, 1, true)
      assert.is_nil(screen:find("traceback", 1, true))
    end)

    it("Tab completes commands and clusters in bash", function()
      if not simulator.has_program "bash" then return pending "needs bash" end
      terminal:type "PS1='b$ ' bash --norc"
      terminal:wait "b%$ $"
      terminal:type 'eval "$(cce completion bash)"'
      terminal:wait "bash%)\"\nb%$ $"
      terminal:insert "cce obt"
      terminal:key "Tab"
      terminal:wait "cce obtain $"
      terminal:insert "cluster-0"
      terminal:key "Tab"
      assert.is_string(terminal:wait "cce obtain cluster%-00")
      terminal:key "C-c"
    end)
  end)
end)
