local windows = require "cce.cli.input.windows"

describe("the windows of the command", function()
  it("are those of the workflow; any takes away those of before", function()
    for expected, args in pairs { [{}] = { except = {} },
      [{ windows = "sat 01:00-05:00", zone = "+08:00" }] =
        { windows = "sat 01:00-05:00", zone = "+08:00", except = {} },
      [{ windows = false, except = { "2026-12-24" } }] =
        { windows = "any", except = { "2026-12-24" } } } do
      local opts = {}
      assert.equal(opts, windows.put(args, opts))
      assert.same(expected, opts)
    end
  end)
end)
