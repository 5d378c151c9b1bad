local traces = require "cce.cli.input.traces"

describe("the time that CTS is searched for", function()
  it("is what was typed, and what was searched is said", function()
    assert.same({ from = 5 }, traces.window { since = 5, partial = false })
    assert.same({ partial = true }, traces.window { partial = true })
    local said
    local ui = { say = function(_, text) said = text end }
    for complete, more in pairs { [true] = "", [false] = "; CTS keeps nothing older" } do
      traces.say_window(ui, { window = { from = 1e9, to = 1e9 + 60, complete = complete } })
      assert.equal("searched 2001-09-09T01:46:40Z to 2001-09-09T01:47:40Z" .. more, said)
    end
  end)
end)
