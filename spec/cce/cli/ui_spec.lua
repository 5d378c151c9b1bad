local command = require "spec.support.command"
local simulator = require "spec.support.sim"
local terminals = require "spec.support.terminal"
local width = require "cce.text.width"

local has_all = simulator.has_program "nginx" and simulator.has_program "tmux"
  and pcall(require, "argparse")

if not has_all then
  describe("the command in a terminal", function() pending "needs nginx, tmux and argparse" end)
  return
end

local MEMBER = simulator.member.principal.id

describe("the command in a terminal", function()
  local sim, world, terminal

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function()
    if terminal then terminal:close() end
    terminal = nil
    world:remove()
  end)

  local function open(columns)
    terminal = terminals.new(world, columns)
  end

  local function revocations()
    return #sim:log { operation = "revoke_cert" }
  end

  it("asks what destroys, says what will be cut off, and takes one word for a yes", function()
    open(200)
    terminal:start("cce revoke cluster-001 --user " .. MEMBER)
    local screen = terminal:wait "Type REVOKE to go on: $"
    assert.matches("This will revoke:", screen, 1, true)
    assert.matches("(member) can obtain again: still enabled in IAM", screen, 1, true)
    assert.matches("user member  " .. MEMBER .. "  cluster-001  " .. sim.clusters[1].id, screen, 1,
      true)
    assert.matches("This cannot be undone", screen, 1, true)
    terminal:type "yes"
    local code
    screen, code = terminal:finish()
    assert.matches("nothing was done", screen, 1, true)
    assert.equal(1, code)
    assert.equal(0, revocations())
    terminal:start("cce revoke cluster-001 --user " .. MEMBER)
    terminal:wait "Type REVOKE to go on: $"
    terminal:type "REVOKE"
    screen, code = terminal:finish()
    assert.matches("revoke: 1 ok, 0 failed", screen, 1, true)
    assert.equal(0, code)
    assert.equal(1, revocations())
  end)

  it("shows the plan of a rotation, or why there is none, before it asks", function()
    open(200)
    terminal:start "cce rotate cluster-001 cluster-002 --canary 1"
    local screen = terminal:wait "Type ROTATE to go on: $"
    assert.matches("This will rotate:", screen, 1, true)
    assert.matches("canary  cluster-001  " .. sim.clusters[1].id, screen, 1, true)
    terminal:type "yes"
    assert.equal(1, select(2, terminal:finish()))
    sim:fault { operation = "rotate_credentials", status = 403 }
    assert.equal(2, world:cce({ "rotate", "cluster-001", "--run", "friday", "--yes" }).code)
    sim:reset()
    terminal:start "cce rotate cluster-001 --run friday --component service-account-controller"
    local code
    screen, code = terminal:finish()
    assert.equal(1, code)
    assert.matches("cce: the journal holds run friday of another plan, ", screen, 1, true)
    assert.equal(0, #sim:log { operation = "rotate_credentials" })
  end)

  it("says that it is one's own, and takes another word for that", function()
    open(200)
    terminal:start "cce revoke cluster-001 --user admin"
    local screen = terminal:wait "Type REVOKE MYSELF to go on: $"
    assert.matches("this is you; your own access is cut", screen, 1, true)
    terminal:type "REVOKE"
    local _, code = terminal:finish()
    assert.equal(1, code)
    assert.equal(0, revocations())
    terminal:start "cce revoke cluster-001 --user admin"
    terminal:wait "Type REVOKE MYSELF to go on: $"
    terminal:type "REVOKE MYSELF"
    screen, code = terminal:finish()
    assert.equal(0, code, screen)
    assert.equal(1, revocations())
  end)

  it("ends at Ctrl-C while it asks, on every Lua", function()
    open(80)
    terminal:start("cce revoke cluster-001 --user " .. MEMBER)
    terminal:wait "Type REVOKE to go on: $"
    terminal:key "C-c"
    local screen, code = terminal:finish()
    assert.equal(130, code)
    assert.matches("cce: interrupted\ncce: nothing was sent", screen, 1, true)
    assert.equal(0, revocations())
  end)

  it("cuts tables to the terminal, and nothing in a pipe #long", function()
    for _, columns in ipairs { 40, 80, 200 } do
      open(columns)
      terminal:start "cce clusters"
      local screen, rows = terminal:finish(), 0
      for line in screen:gmatch "[^\n]+" do
        if line:find "^cluste" then
          rows = rows + 1
          assert.equal(columns < 80, line:find("…", 1, true) ~= nil, line)
        end
        assert.is_true(width.of(line) <= columns, line)
      end
      assert.equal(#sim.clusters, rows)
      terminal:start "cce clusters | cat"
      screen = terminal:finish()
      assert.is_nil(screen:find("…", 1, true))
      terminal:close()
    end
    terminal = nil
  end)

  it("draws one bar at every width, and leaves the screen clean #long", function()
    for _, columns in ipairs { 40, 80, 200 } do
      open(columns)
      sim:set { job_seconds = 0.3 }
      terminal:start("cce rotate --all --yes --concurrency 1 --rate none --every 0.1 >/dev/null")
      local moving
      repeat
        local screen = terminal:screen()
        assert.is_true(select(2, screen:gsub("rotate +[^\n]*%d/5", "")) <= 1, screen)
        moving = moving or screen:find "rotate +[^\n]*[1-4]/5"
      until terminal:finished()
      local screen, code = terminal:finish()
      assert.equal(0, code)
      assert.is_truthy(moving)
      assert.matches("5/5", screen, 1, true)
      if columns >= 80 then assert.matches("[####", screen, 1, true) end
      terminal:close()
    end
    terminal = nil
  end)

  it("draws no bar when told, nor where standard error is no terminal #long", function()
    open(80)
    for _, words in ipairs { "--quiet", "2>" .. world.dir .. "/err" } do
      terminal:start("cce rotate cluster-001 --yes --every 0.1 " .. words)
      local screen, code = terminal:finish()
      assert.equal(0, code)
      assert.is_nil(screen:find("1/1", 1, true), screen)
    end
    local written = simulator.read(world.dir .. "/err")
    assert.is_nil(written:find("\r", 1, true))
    assert.is_nil(written:find("\27", 1, true))
  end)

  it("leaves a journal at Ctrl-C that --resume finishes #long", function()
    open(120)
    sim:set { job_seconds = 2 }
    terminal:start "cce rotate --all --yes --concurrency 1 --rate none --every 0.1"
    terminal:wait "1/5"
    terminal:key "C-c"
    local screen, code = terminal:finish()
    assert.equal(130, code)
    assert.matches("cce: interrupted", screen, 1, true)
    local go_on = screen:match "to go on: (cce [^\n]+)"
    assert.matches("^cce rotate %-%-resume", go_on)
    sim:set { job_seconds = 0.1 }
    terminal:start(go_on .. " --yes")
    screen, code = terminal:finish()
    assert.equal(0, code)
    assert.matches("5 ok, 0 failed", screen, 1, true)
    assert.equal(5, #sim:log { operation = "rotate_credentials" })
  end)
end)
