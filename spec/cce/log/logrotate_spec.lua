-- The rule for logrotate that the manual shows, carried out by logrotate itself.
local cce = require "cce"
local clients = require "spec.support.clients"
local core = require "cce.core"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local LOGROTATE = "PATH=$PATH:/usr/sbin:/sbin logrotate"

describe("logrotate, by the rule of the manual", function()
  if not simulator.has_program "logrotate" and not core.file.stat "/usr/sbin/logrotate" then
    return pending "needs logrotate"
  end

  local sim, dir, path, client

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    dir = tempdir.new()
    path = dir .. "/cce.log"
  end)

  after_each(function()
    if client.audit_log then client.audit_log:close() end
    client:close()
    tempdir.remove(dir)
  end)

  local function rule(changes)
    local text = tempdir.read("manual/files.md"):match "\n```logrotate\n(.-)```"
    text = text:gsub("/var/log/cce", dir):gsub("\n}", function()
      return "\n" .. (changes or "") .. "\n}"
    end)
    tempdir.write(dir .. "/rule", text)
    tempdir.check(("chmod 600 %s/rule"):format(dir))
  end

  local function rotate()
    tempdir.check(("%s --force --state %s/state %s/rule"):format(LOGROTATE, dir, dir))
  end

  local function revoke(count)
    for _ = 1, count do
      assert(client:revoke_cert(sim.clusters[1].id, { user_id = "someone" }))
    end
  end

  local function files()
    return { path, path .. ".1", path .. ".2" }
  end

  for _, changes in ipairs { "", "create 0600", "copytruncate" } do
    it("loses no line of a process that goes on: " .. changes, function()
      rule(changes)
      client = clients.new(sim, { audit_log = path })
      for _ = 1, 3 do
        revoke(2)
        rotate()
      end
      -- Nothing was written since, or there is nothing yet.
      assert.is_true((tempdir.read(path) or "") == "")
      revoke(1)
      assert.equal("0600", core.file.stat(path).mode)
      local list = files()
      table.insert(list, path .. ".3")
      assert.equal(14, assert(cce.audit_log.verify(list)).count)
      assert.same({ count = 14, first = 13, head = client.audit_log.head,
        continues = changes == "copytruncate" and path or path .. ".1" },
        assert(cce.audit_log.verify(path)))
    end)
  end

  it("loses no line between processes, also with dateext", function()
    for _, changes in ipairs { "", "dateext\n    dateformat -%Y%m%d-%s" } do
      tempdir.shell(("rm -f %s*"):format(path))
      rule(changes)
      for i = 1, 3 do
        client = clients.new(sim, { audit_log = path })
        revoke(1)
        client.audit_log:close()
        client:close()
        if i < 3 then rotate() end
        if changes ~= "" then core.sys.sleep(1.1) end
      end
      assert.equal(6, assert(cce.audit_log.verify(assert(core.file.glob(path .. "*")))).count)
    end
  end)

  it("takes the logs of nginx's workers, and no lock or rotated file", function()
    rule()
    client = clients.new(sim, {})
    for _, name in ipairs { ".worker-0", ".worker-12", ".lock", ".worker-0.lock", ".1" } do
      tempdir.write(path .. name, "x\n")
    end
    rotate()
    assert.same({ "cce.log.1", "cce.log.lock", "cce.log.worker-0.1", "cce.log.worker-0.lock",
      "cce.log.worker-12.1", "rule", "state" }, tempdir.list(dir))
  end)
end)
