-- The commands that only look: users, agencies, deleted, downloads.
local command = require "spec.support.command"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("the reading commands", function() pending "needs nginx and argparse" end)
  return
end

describe("the reading commands", function()
  local sim, world

  before_each(function()
    sim = simulator.get()
    sim:reset()
    world = command.new(sim)
  end)

  after_each(function() world:remove() end)

  local function rows_of(words)
    words[#words + 1], words[#words + 2] = "-o", "json"
    local result = world:cce(words)
    assert.equal(0, result.code, result.err)
    return json.decode(result.out)
  end

  it("list users, by name and by state", function()
    local all = rows_of { "users" }
    assert.is_true(#all > 1)
    local first = all[1]
    assert.same({ first }, rows_of { "users", "--name", first.name })
    assert.equal(first.id .. "\n", world:cce({ "users", "--name", first.name, "-o", "name" }).out)
    local enabled, disabled = rows_of { "users", "--enabled" }, rows_of { "users", "--disabled" }
    assert.equal(#all, #enabled + #disabled)
    assert.same({}, rows_of { "users", "--name", "nobody-of-this-name" })
    local result = world:cce { "users" }
    assert.matches("^NAME +ID +STATE\n", result.out)
  end)

  it("list agencies", function()
    local all = rows_of { "agencies" }
    assert.is_true(#all >= 1)
    assert.equal(all[1].id .. "\n",
      world:cce({ "agencies", "--name", all[1].name, "-o", "name" }).out)
  end)

  it("list who obtained certificates, of one cluster or of all, and which time was searched",
    function()
      assert.equal(0, world:cce({ "obtain", "cluster-001", "--days", "1", "--out", "-" }).code)
      assert.equal(0, world:cce({ "obtain", "cluster-003", "--days", "1", "--out", "-" }).code)
      assert.equal(2, #rows_of { "downloads" })
      local rows = rows_of { "downloads", "cluster-003", "--since", "1d" }
      assert.equal(1, #rows)
      assert.equal(sim.clusters[3].id, rows[1].cluster_id)
      local result = world:cce { "downloads", "--since", "2d ago" }
      assert.equal(0, result.code, result.err)
      assert.matches("searched 20.-Z to 20.-Z", result.err)
    end)

  it("list who was deleted, and refuse a time that CTS does not keep", function()
    assert.same({}, rows_of { "deleted" })
    local result = world:cce { "deleted", "--since", "30d" }
    assert.equal(64, result.code)
    assert.equal(0, world:cce({ "deleted", "--since", "30d", "--partial" }).code)
    local told = "on record without saying of whom"
    assert.is_nil(world:cce({ "deleted" }).err:find(told, 1, true))
    for _, row in ipairs { { "deleteUser", 204, true }, { "deleteUser", 403 },
      { "createUser", 201 } } do
      sim:fault { operation = "list_traces", times = 1, status = 200, body = json.encode {
        traces = { { trace_id = "t1", trace_name = row[1], service_type = "IAM", time =
          os.time() * 1000, record_time = os.time() * 1000, code = tostring(row[2]),
          trace_rating = "normal", user = { id = "x" } } }, meta_data = {} } }
      result = world:cce { "deleted" }
      assert.equal(0, result.code, result.err)
      assert.equal(row[3], result.err:find("1 deletion is " .. told, 1, true) and true)
    end
  end)
end)
