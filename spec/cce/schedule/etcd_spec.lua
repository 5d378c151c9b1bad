-- The schedule's store in etcd, with a real one.
local contract = dofile "spec/support/store_contract.lua"
local core = require "cce.core"
local etcd = require "spec.support.etcd"
local store_of = require "cce.schedule.etcd"

etcd.describe("cce.schedule.etcd", function()
  local server, prefix, stores

  setup(function() server = etcd.get() end)

  before_each(function() prefix, stores = etcd.prefix(), {} end)

  after_each(function()
    for _, store in ipairs(stores) do store:close() end
  end)

  local function open(opts, at)
    local store, message, err = store_of.open((at or server):place(prefix), opts or {})
    stores[#stores + 1] = store
    return store, message, err
  end

  contract("etcd", function() return assert(open()), open end, core.sys.sleep)
end)
