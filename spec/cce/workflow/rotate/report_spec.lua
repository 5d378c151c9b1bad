-- What a rotation says before it begins; init_spec looks at its reports.
local report = require "cce.workflow.rotate.report"

describe("a rotation tells of clusters that were rotated not long ago", function()
  -- The note about some items, of which the last rotations are known; nil: none.
  local function note(items, rotated, hours)
    local said
    report.note_recent { opts = { certificate_expiration_time = hours }, items = items,
      journal = { rotated = rotated }, clock = function() return 100 * 3600 end,
      report = { note = function(_, format, ...) said = format:format(...) end } }
    return said
  end

  it("by name, or by id where it has none, as many as are to be rotated again", function()
    local items = { { id = "c1", state = "ok" }, { id = "c2", state = "pending" },
      { id = "c3", name = "three", state = "pending" } }
    local now = 100 * 3600
    assert.matches("^2 clusters were rotated less than 24 h ago, such as c2 at 1970%-01%-05",
      note(items, { c1 = now, c2 = now - 3600, c3 = now }))
    assert.matches("^1 cluster was .* than 2 h ago, such as three at", note(items,
      { c1 = now, c2 = now - 2 * 3600, c3 = now - 3600 }, 2))
    assert.is_nil(note(items, { c1 = now }))
  end)
end)
