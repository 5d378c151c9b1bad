-- How far somebody has to go who follows one call from Lua to the engine.
local clients = require "spec.support.clients"
local simulator = require "spec.support.sim"

if not simulator.has_program "nginx" then
  describe("the walk of a call", function() pending "needs nginx" end)
  return
end

-- Modules that take part, and changes from one to another at calls of functions.
local function walk(call)
  local modules, changes, functions, list, last = {}, 0, {}, {}, nil
  debug.sethook(function()
    local info = debug.getinfo(2, "S")
    local file = info.source:match "lua/cce/(.*)$"
    if not file then return end
    functions[file .. ":" .. info.linedefined] = true
    if not modules[file] then
      modules[file] = true
      list[#list + 1] = file
    end
    if last ~= file then changes = changes + 1 end
    last = file
  end, "c")
  call()
  debug.sethook()
  local count = 0
  for _ in pairs(functions) do count = count + 1 end
  return list, changes, count
end

-- The hook sees interpreted calls alone.
local is_jit = rawget(_G, "jit") ~= nil

describe("the walk of a call", function()
  it("of one rotation is at most 9 modules and 20 changes of file", function()
    local sim = simulator.get()
    sim:reset()
    local client = clients.new(sim)
    -- What the specs' own clients do beside.
    client.on_event = false
    local function rotate(i)
      return assert(client:rotate_credentials(sim.clusters[i].id, { component = "all" }))
    end
    if is_jit then require("jit").off() end
    rotate(1)
    local modules, changes, functions = walk(function() rotate(2) end)
    if is_jit then require("jit").on() end
    local text = ("%d modules (%s), %d functions, %d changes of file"):format(#modules,
      table.concat(modules, " "), functions, changes)
    if os.getenv "CCE_TEST_FIGURES" then print(text) end
    assert.is_true(#modules <= 9, text)
    assert.is_true(changes <= 20, text)
    client:close()
  end)
end)
