-- What a runner is to do next, with a store that does as told.
local errors = require "cce.error"
local feeds = require "cce.schedule.runner.feed"

describe("the feed of a runner", function()
  local run, store, feed, due, held, alive, asked

  local function row(id, runner) return { id = id, runner = runner } end

  before_each(function()
    due, held, alive, asked, store = {}, {}, {}, {}, {}
    function store.due(_, now, limit, after)
      asked[#asked + 1] = ("due %d %d %s"):format(now, limit, after and after.id or "-")
      if store.away == "due" then return nil, "away", errors.new("NO_MEMORY", "away", {}) end
      local found, begun = {}, after == nil
      for _, each in ipairs(due) do
        if begun and #found < limit then found[#found + 1] = each end
        begun = begun or each == after
      end
      return found
    end
    function store.held(_, after, limit)
      asked[#asked + 1] = "held " .. (after or "-")
      if store.away == "held" then return nil, "away", errors.new("TIMEOUT", "away", {}) end
      local found = {}
      for _, each in ipairs(held) do
        if (not after or each.id > after) and #found < limit then found[#found + 1] = each end
      end
      return found
    end
    function store.alive(_, runner)
      asked[#asked + 1] = "alive " .. runner
      if store.away == "alive" then return nil, "away", errors.new("TIMEOUT", "away", {}) end
      return alive[runner] or false
    end
    run = { store = store, lease = {}, clock = function() return 7 end }
    feed = feeds.new(run, 2)
    feed:rewind()
  end)

  local function taken()
    local ids = {}
    for each in function() return feed:take() end do ids[#ids + 1] = each.id end
    return table.concat(ids, " ")
  end

  it("is what is due, a page at a time, each once in a round", function()
    for i = 1, 5 do due[i] = row("e" .. i) end
    for _, page in ipairs { "e1 e2", "e3 e4", "e5", "" } do
      assert.is_true(feed:load())
      assert.equal(#page > 2 and 2 or #page / 2, feed:count())
      -- What is there is taken first.
      assert.is_true(feed:load())
      assert.equal(page, taken())
      assert.same({ true, 0 }, { feed:is_empty(), feed:count() })
    end
    assert.same({ "held -", "due 7 2 -", "due 7 2 e2", "due 7 2 e4" }, asked)
    assert.is_true(feed.is_at_end)
    feed:rewind(3)
    feed:load()
    assert.equal("due 3 2 -", asked[#asked])
    feed:drop()
    assert.is_true(feed:load())
    assert.same({ true, "" }, { feed:is_empty(), taken() })
  end)

  it("passes over what a worker has in hand", function()
    due = { row "e1", row "e2" }
    feed.active.e1 = true
    feed:load()
    assert.equal("e2", taken())
  end)

  it("is first what no runner holds that lives, of however many", function()
    run.lease.session = { runner = "me" }
    alive.other = true
    for i = 1, 99 do held[i] = row(("h%03d"):format(i), "other") end
    held[100], held[101], held[102] = row("h100", "dead"), row("h101", "me"), row "h102"
    held[103] = row("h103", "dead")
    due = { row "e1" }
    assert.is_true(feed:load())
    assert.equal("h100 h102 h103 e1", taken())
    -- Of each runner it is asked once, and of ourselves not at all.
    assert.same({ "held -", "alive other", "alive dead", "held h100", "due 7 2 -" }, asked)
    feed:load()
    assert.equal(5, #asked)
    feed:rewind()
    feed:load()
    assert.equal(10, #asked)
    -- Without a session nothing is ours.
    run.lease.session = nil
    feed:rewind()
    feed:load()
    assert.equal("h100 h101 h102 h103 e1", taken())
  end)

  it("says what failed, and is loaded again", function()
    held = { row("h1", "dead") }
    for what, code in pairs { held = "TIMEOUT", alive = "TIMEOUT", due = "NO_MEMORY" } do
      store.away = what
      feed:rewind()
      local none, message, err = feed:load()
      assert.same({ nil, "away", code }, { none, message, err and err.code })
      store.away = nil
      feed:drop()
      feed:rewind()
      assert.is_true(feed:load())
      assert.equal("h1", taken())
    end
  end)

  it("is loaded by one worker at a time", function()
    local ask, times = store.due, 0
    function store.due(...)
      times = times + 1
      if times < 3 then assert.is_true(feed:load()) end
      return ask(...)
    end
    assert.is_true(feed:load())
    assert.equal(1, times)
  end)
end)
