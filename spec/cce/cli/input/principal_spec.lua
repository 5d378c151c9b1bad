-- Whom words mean, with lists of users and agencies as told.
local errors = require "cce.error"
local principal = require "cce.cli.input.principal"
local tempdir = require "spec.support.tempdir"

local ID = ("a"):rep(32)

describe("whom --user and --agency mean", function()
  local ui, client, said, away, confirmed

  local function lists(name, items)
    return function()
      if away[name] then
        return nil, name .. " is away", errors.new("TIMEOUT", name .. " is away",
          { retryable = true, maybe_applied = true, hint = away[name] })
      end
      return items
    end
  end

  before_each(function()
    said, away, confirmed = {}, {}, nil
    ui = { say = function(_, text) said[#said + 1] = text end, confirm = function(_, opts)
      confirmed = opts
      return opts.yes, 5
    end }
    client = {
      list_users = lists("users", { { id = "u1", name = "ann" }, { id = "u2", name = "bob" },
        { id = "ann", name = "eve" }, { id = "u4", name = "bob" } }),
      list_agencies = lists("agencies", { { id = "g1", name = "ann" }, { id = "u2", name = "x" } }),
      deleted_principals = lists("deleted", { { id = "d1", name = "ann-old", kind = "user",
        time = 7 }, { id = "u1", name = "was", kind = "user", time = 8 },
        { id = "d2", name = "op", kind = "agency", time = 9 } }),
    }
  end)

  local function list(args) return principal.list(ui, client, args) end
  local function any(...) return principal.any(ui, client, { ... }) end

  local function refused(what, none, message, err)
    assert.is_nil(none)
    assert.equal("INVALID_ARGUMENT", err.code)
    assert.same({ false, false }, { err.retryable, err.maybe_applied })
    assert.matches(what, message, 1, true)
    return err.hint
  end

  it("is one by id, else by name, of its kind", function()
    assert.same({ { kind = "user", id = "u1", name = "ann" } }, list { user = "u1" })
    assert.same({}, said)
    assert.same({ { kind = "user", id = "ann", name = "eve" } }, list { user = "ann" })
    assert.same({ { kind = "agency", id = "g1", name = "ann" } }, list { agency = "ann" })
    assert.same({ "agency ann is g1" }, said)
    assert.same({}, list {})
    assert.same({ { kind = "user", id = ID, unknown = true } }, list { user = ID })
  end)

  it("is nobody where none has the name, or several have it", function()
    assert.matches("Give the id", refused("2 of kind user are named 'bob': u2, u4",
      list { user = "bob" }))
    assert.equal("Did you mean 'eve'?", refused("there is no user 'evee', and it is no id",
      list { user = "evee" }))
    assert.matches("^See: cce users", refused("no user", list { user = ("a"):rep(31) }))
    refused("no user", list { user = ("g"):rep(32) })
    refused("no user", list { user = "-" .. ID })
    assert.matches("^See: cce agencies", refused("no agency", list { agency = "zzzzzz" }))
  end)

  it("is taken by the id alone where nobody can be listed", function()
    away.users = "Ask"
    assert.same({ { kind = "user", id = ID } }, list { user = ID })
    assert.same({ "whether there is such a user was not checked: users is away" }, said)
    local none, message, err = list { user = "ann" }
    assert.same({ nil, "TIMEOUT", true, false, "Ask" },
      { none, err.code, err.retryable, err.maybe_applied, err.hint })
    assert.equal("whom 'ann' names cannot be looked up: users is away", message)
    assert.equal("g1", list({ agency = "ann" })[1].id)
  end)

  it("is each of a file once", function()
    local dir = tempdir.new()
    tempdir.write(dir .. "/users", "ann\nu1\neve\n")
    local found = assert(list { users = dir .. "/users" })
    assert.same({ "ann", "u1" }, { found[1].id, found[2].id, found[3] })
    tempdir.write(dir .. "/users", "ann\nnone\n")
    refused("no user 'none'", list { users = dir .. "/users" })
    assert.is_nil((list { users = dir .. "/missing" }))
    tempdir.remove(dir)
  end)

  it("is of either kind, or was deleted lately, where any is meant", function()
    local found = assert(any("u1", "g1", "d1", "op", "u1", "eve"))
    assert.same({ { kind = "user", id = "u1", name = "ann" },
      { kind = "agency", id = "g1", name = "ann" },
      { kind = "user", id = "d1", name = "ann-old", deleted = 7 },
      { kind = "agency", id = "d2", name = "op", deleted = 9 },
      { kind = "user", id = "ann", name = "eve" } }, found)
    assert.same({ "op is agency d2", "eve is user ann" }, said)
    -- The first list that has an id tells whose it is.
    assert.equal("user", any("u2")[1].kind)
    assert.same({ { kind = "user", id = ID } }, any(ID))
    refused("there is no user or agency 'nobody'", any "nobody")
  end)

  it("says which names are not known, and whom it cannot look up", function()
    for _, name in ipairs { "users", "agencies", "deleted" } do
      away, said = { [name] = true }, {}
      assert.same({ { kind = "user", id = ID } }, any(ID))
      assert.same({ "not all names are known: " .. name .. " is away" }, said)
      local none, message, err = any "nobody"
      assert.same({ nil, "TIMEOUT" }, { none, err.code })
      assert.equal(("whom 'nobody' names cannot be looked up: %s is away"):format(name), message)
    end
    away = { agencies = "first", deleted = "second" }
    assert.equal("first", (select(3, any "nobody")).hint)
  end)

  it("is asked about when it is who types", function()
    client.caller = { kind = "user", id = "u1" }
    assert.is_true(principal.is_self(client, "u1"))
    assert.is_false(principal.is_self(client, "u2"))
    local args = {}
    assert.same({ nil, 5 }, { principal.confirm_self(ui, args, "it ends") })
    assert.same({ "MYSELF", "This is you: it ends", nil },
      { confirmed.word, confirmed.text, args.allow_self })
    args.allow_self = true
    assert.is_true((principal.confirm_self(ui, args, "it ends")))
    ui.confirm = function() return true end
    args = {}
    assert.is_true((principal.confirm_self(ui, args, "it ends")))
    assert.is_true(args.allow_self)
  end)
end)
