-- Journals and audit logs whose lines are not what we wrote: damaged, changed by hand, or made
-- to harm. Each is read, or is refused with a reason; nothing raises, and no changed line passes.
local core = require "cce.core"
local audit_line = require "cce.log.audit_line"
local audit_log = require "cce.log.audit_log"
local journals = require "cce.log.journal"
local tempdir = require "spec.support.tempdir"

local NOW = 1767323045

-- Of a generator of its own, so that each run tries the same.
local seed = 20260102
local function random(count)
  seed = (seed * 16807) % 2147483647
  return seed % count + 1
end

local ODD = { "null", "true", "0", "-1", "1e308", "0.5", "1.5", '""', '"x"', "[]", "{}", '["x"]',
  '{"x":[{}]}', '"' .. ("y"):rep(5000) .. '"', '"\\u0000"', '"\\ud800"', '"a\\nb"' }

-- The line with each of its values replaced by each odd one, and with each member taken away.
local function changed_lines(line)
  local lines = {}
  for position, name in line:gmatch '()"(%w+)":' do
    local head = line:sub(1, position - 1)
    local rest = line:sub(position + #name + 3)
    local old = rest:match '^"[^"]*"' or rest:match "^%b{}" or rest:match "^%b[]"
      or rest:match "^[^,}]*"
    for _, value in ipairs(ODD) do
      lines[#lines + 1] = ('%s"%s":%s%s'):format(head, name, value, rest:sub(#old + 1))
    end
    lines[#lines + 1] = head .. rest:sub(#old + 2)
  end
  return lines
end

-- One or a few bytes changed, added or taken away.
local function damaged(text)
  for _ = 1, random(3) do
    local at, byte = random(#text), string.char(random(256) - 1)
    local kind = random(3)
    text = text:sub(1, at - 1) .. (kind == 1 and "" or byte) .. text:sub(kind == 2 and at or at + 1)
  end
  return text
end

describe("a damaged journal", function()
  local dir, path, lines

  setup(function()
    dir = tempdir.new()
    path = dir .. "/run.journal"
    local journal = assert(journals.open(path, function() return NOW end))
    for _, each in ipairs {
      { "run", { run = "r", id = "id", plan = "plan", component = "all", hours = 24 } },
      { "planned", { cluster = "c1", name = "one" } },
      { "planned", { cluster = "c2", principal = "u", from = "r" } },
      { "begun" }, { "intent", { cluster = "c1" } }, { "accepted", { cluster = "c1", job = "j" } },
      { "ok", { cluster = "c1", of = "id" } }, { "stopped", { message = "why" } }, { "resumed" },
      { "settled", { cluster = "c2", principal = "u" } }, { "ended" }, { "finished" },
    } do
      assert(journal:write(each[1], each[2]))
    end
    journal:close()
    lines = {}
    for line in tempdir.read(path):gmatch "[^\n]+" do lines[#lines + 1] = line end
  end)

  teardown(function() tempdir.remove(dir) end)

  local function look(text)
    tempdir.write(path, text)
    local ok, state, message, err = pcall(journals.look, path, function() return NOW end)
    assert.is_true(ok, ("%s\n%s"):format(tostring(state), text:sub(1, 3000)))
    if state then
      assert.is_table(state.runs)
      local found = journals.find(state.runs, "r")
      assert.is_true(found == nil or type(found) == "table")
    else
      assert.is_nil(message:find "%c", message)
      assert.equal("FILE_ERROR", err.code)
    end
  end

  it("is read or refused, whatever a value is", function()
    for i, line in ipairs(lines) do
      for _, changed in ipairs(changed_lines(line)) do
        local copy = { (table.unpack or unpack)(lines) }
        copy[i] = changed
        look(table.concat(copy, "\n") .. "\n")
      end
    end
  end)

  it("is read or refused, whichever lines stand there", function()
    for _ = 1, 100 do
      local copy = {}
      for i = 1, random(12) do copy[i] = lines[random(#lines)] end
      look(table.concat(copy, "\n") .. (random(2) == 1 and "\n" or ""))
    end
  end)

  it("is read or refused, whichever bytes are changed", function()
    local whole = table.concat(lines, "\n") .. "\n"
    for _ = 1, 150 do look(damaged(whole)) end
    for length = 0, #whole, 29 do look(whole:sub(1, length)) end
  end)
end)

describe("a damaged audit log", function()
  local dir, path, lines, whole, state

  -- Whoever has no key to keep out can write lines that fit.
  local function sealed(text)
    text = text:sub(1, -2)
    return ('%s,"hash":"%s"}'):format(text, core.sha256(text))
  end

  local function write(text)
    tempdir.write(path, text)
    return path
  end

  setup(function()
    dir = tempdir.new()
    path = dir .. "/audit.log"
    lines = {}
    local previous = audit_line.FIRST
    for n = 1, 4 do
      lines[n], previous = audit_line.seal { n = n, at = "2026-01-02T03:04:05Z",
        operation = "revoke_cert", target = "cluster c" .. n, outcome = "ok", previous = previous }
    end
    whole = table.concat(lines, "\n") .. "\n"
    state = assert(audit_log.verify(write(whole)))
    assert.equal(4, state.count)
  end)

  teardown(function() tempdir.remove(dir) end)

  local function verify(text)
    local ok, result, message = pcall(audit_log.verify, write(text),
      { head = state.head, count = state.count })
    assert.is_true(ok, ("%s\n%s"):format(tostring(result), text))
    if not result then assert.is_nil(message:find "%c", message) end
    return result
  end

  it("never passes, whichever bytes are changed", function()
    for _ = 1, 150 do
      local text = damaged(whole)
      if text ~= whole then assert.is_nil(verify(text), text) end
    end
    for length = 0, #whole - 2, 29 do assert.is_nil(verify(whole:sub(1, length))) end
  end)

  it("never passes, whatever a value is, nor when the line was sealed anew", function()
    for i, line in ipairs(lines) do
      for _, changed in ipairs(changed_lines(line)) do
        for _, text in ipairs { changed, sealed((changed:gsub(',"hash":[^}]*', ""))) } do
          local copy = { (table.unpack or unpack)(lines) }
          copy[i] = text
          if text ~= line then
            assert.is_nil(verify(table.concat(copy, "\n") .. "\n"), text)
          end
        end
      end
    end
  end)
end)
