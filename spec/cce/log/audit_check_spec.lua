-- Series of audit logs that are whole but for one thing: what each check alone is for.
local check = require "cce.log.audit_check"
local lines = require "cce.log.audit_line"
local tempdir = require "spec.support.tempdir"

describe("the check of audit logs", function()
  local dir

  before_each(function() dir = tempdir.new() end)
  after_each(function() tempdir.remove(dir) end)

  -- A file of the lines `from` to `to`, the first following from `previous`; its path and its
  -- last hash. `changes[n]` are fields of line n.
  local function log(name, from, to, previous, changes, key)
    local text = {}
    for n = from, to do
      local entry = { n = n, at = "2026-01-02T03:04:05Z", operation = "revoke_cert",
        outcome = "ok", previous = previous or lines.FIRST }
      for field, value in pairs(changes and changes[n] or {}) do entry[field] = value or nil end
      text[#text + 1], previous = lines.seal(entry, key)
    end
    local path = dir .. "/" .. name
    tempdir.write(path, table.concat(text, "\n") .. (#text > 0 and "\n" or ""))
    return path, previous
  end

  local function refused(pattern, paths, opts)
    local state, message, err = check.files(paths, opts or {})
    assert.is_nil(state)
    assert.matches(pattern, message)
    return err
  end

  local function passes(count, paths, opts)
    local state, message = check.files(paths, opts or {})
    assert.equal(count, state and state.count, message)
    return state
  end

  it("takes a log that is whole, alone and in several files in any order", function()
    local a, end_of_a = log("a", 1, 3)
    passes(3, { a })
    local b, end_of_b = log("b", 4, 5, end_of_a, { [4] = { continues = "a" } })
    local c, end_of_c = log("c", 6, 6, end_of_b, { [6] = { continues = "b" } })
    local empty = log("empty", 1, 0)
    for _, order in ipairs { { a, b, c }, { c, b, a }, { b, c, a }, { empty, b, a, c } } do
      local state = passes(6, order)
      assert.equal(end_of_c, state.head)
      assert.is_nil(state.continues)
    end
    local rest = passes(5, { b })
    assert.same({ 4, "a" }, { rest.first, rest.continues })
    passes(0, { empty })
  end)

  it("refuses a line that does not follow from the one before, for each reason alone", function()
    local OTHER = ("1"):rep(64)
    for name, changes in pairs {
      ["line 2 .* says that it is line 3"] = { [2] = { n = 3 } },
      ["line 2 .* says that it is line 1"] = { [2] = { n = 1 } },
      ["line 2 .* does not follow"] = { [2] = { previous = OTHER } },
      ["line 3 .* does not follow"] = { [3] = { previous = OTHER, continues = "b" } },
      ["line 1 .* says that it is line 2"] = { { n = 2 } },
      ["line 1 .* says that it is line 1"] = { { previous = OTHER } },
      ["line 1 .* says that it is line 3"] = { { n = 3, continues = "b" } },
    } do
      refused(name, { (log("a", 1, 3, nil, changes)) })
    end
  end)

  it("refuses what is no line, or was written with another key", function()
    local path = log("a", 1, 2, nil, nil, "one")
    passes(2, { path }, { key = "one" })
    for _, key in ipairs { "two", "" } do
      assert.equal("TAMPERED", refused("line 1 .* was changed, or was written with another key",
        { path }, { key = key ~= "" and key or nil }).code)
    end
    for name, value in pairs {
      n = { 0, -1, 1.5, 2 ^ 53, "1" }, previous = { 7 }, continues = { 7, true },
    } do
      for _, each in ipairs(value) do
        refused("line 1 .* is not a line of an audit log", { (log("a", 1, 1, nil, {
          { [name] = each } })) })
      end
    end
    assert.equal("FILE_ERROR", refused("cannot read", { dir .. "/none" }).code)
    tempdir.write(path, tempdir.read((log("b", 1, 2))) .. "\n")
    refused("line 3 .* is not a line", { path })
    for _, text in ipairs { 'x,"hash":"ab"}', ('{"n":1,"previous":"%s"}'):format(lines.FIRST) } do
      tempdir.write(path, text .. "\n")
      refused("line 1 .* is not a line", { path })
    end
  end)

  it("reads what was sent, and cuts what would not fit, but never a name", function()
    assert.same({ user_id = "u", duration = 7, nodes = "n1 n2" }, lines.arguments(
      '{"userId":"u","agencyId":{"x":1},"duration":7,'
      .. '"nodeList":[{"nodeID":"n1"},{"nodeID":"n2"}]}'))
    for _, body in ipairs { "x", "7", '{"nodeList":7,"other":"x"}' } do
      assert.same({}, lines.arguments(body))
    end
    assert.same({}, lines.arguments(nil))
    local text, name = ("x"):rep(127) .. "ä", ("n"):rep(600)
    local target = ("RoleBinding %s/%s of cluster %s"):format(("s"):rep(63), ("b"):rep(253),
      ("c"):rep(128))
    local line = lines.seal { n = 1, code = text, target = target, component = ("y"):rep(128),
      continues = name }
    assert.matches('"component":"' .. ("y"):rep(128) .. '"', line, 1, true)
    assert.matches('"target":"' .. target:gsub("/", "\\/") .. '"', line, 1, true)
    assert.matches('"code":"' .. ("x"):rep(127) .. '"', line, 1, true)
    assert.matches(name, line, 1, true)
  end)

  it("names the nodes that there is room for, and how many more there are", function()
    local nodes = {}
    for i = 1, 200 do nodes[i] = ('{"nodeID":"%036d"}'):format(i) end
    local found = lines.arguments(('{"nodeList":[%s]}'):format(table.concat(nodes, ",")))
    assert.matches(("%036d %036d and 187 more"):format(12, 13), found.nodes, 1, true)
    assert.matches('"nodes":"' .. found.nodes .. '"', lines.seal(found), 1, true)
    assert.is_nil(lines.arguments('{"nodeList":[]}').nodes)
    -- Also of what a trace of CTS says, which anybody may have written.
    assert.equal("nil nil", lines.arguments('{"nodeList":[7,null]}').nodes)
  end)

  it("knows the head and the count that were kept, wherever the log has them", function()
    local a, end_of_a = log("a", 1, 3)
    local _, after_two = log("x", 1, 2)
    local b, end_of_b = log("b", 4, 5, end_of_a, { [4] = { continues = "a" } })
    for _, row in ipairs {
      { lines.FIRST, 0 }, { after_two, 2 }, { end_of_a, 3 }, { end_of_b, 5 }, { end_of_b },
      { nil, 5 }, { nil, 3 },
    } do
      passes(5, { a, b }, { head = row[1], count = row[2] })
    end
    passes(3, { a }, { head = end_of_a, count = 3 })
    passes(5, { b }, { head = end_of_a, count = 3 })
    for _, row in ipairs {
      { "has 5 lines, but had 6", nil, 6 }, { "has 5 lines, but had 6", end_of_b, 6 },
      { "does not have the head", ("1"):rep(64), 5 }, { "does not have the head", ("1"):rep(64) },
      { "does not have the head", end_of_b, 3 }, { "does not have the head", end_of_a, 5 },
    } do
      refused(row[1], { a, b }, { head = row[2], count = row[3] })
    end
    local err = refused("the audit log '.*/b' does not have the head", { b }, { head = after_two })
    assert.equal("The lines before are in 'a'; give that file, too", err.hint)
    assert.is_nil(refused("does not have", { a }, { head = end_of_b }).hint)
  end)

  it("refuses files between which something is missing, or one of which is a copy", function()
    local a, end_of_a = log("a", 1, 3)
    local b, end_of_b = log("b", 4, 5, end_of_a, { [4] = { continues = "a" } })
    local c = log("c", 6, 6, end_of_b, { [6] = { continues = "b" } })
    local copy = log("copy", 4, 5, end_of_a, { [4] = { continues = "a" }, [5] = { outcome = "x" } })
    refused("follow from none of the others", { a, c })
    refused("follow from none of the others", { a, (log("again", 1, 2)) })
    refused("two of the audit logs follow from the same line", { a, b, copy })
    refused("two of the audit logs follow from the same line", { a, b, b })
  end)
end)
