local contract = dofile "spec/support/store_contract.lua"
local core = require "cce.core"
local sqlite = require "cce.schedule.sqlite"
local tempdir = dofile "spec/support/tempdir.lua"

local dir, now

local function steady() return now end

local function open()
  return sqlite.open(dir .. "/schedule.db", { steady = steady })
end

describe("cce.schedule.sqlite", function()
  before_each(function() dir, now = tempdir.new(), 1000 end)

  after_each(function() tempdir.remove(dir) end)

  contract("sqlite", function() return assert(open()), open end,
    function(seconds) now = now + seconds end)

  it("keeps a file that its owner alone may read", function()
    local store = assert(open())
    assert(store:insert("a", "t", { state = "pending", due = 1 }))
    for _, name in ipairs { "", "-wal", "-shm" } do
      local info = assert(core.file.stat(dir .. "/schedule.db" .. name))
      assert.equal("0600", info.mode, name)
    end
    store:close()
  end)
end)
