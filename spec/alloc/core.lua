-- Loading the module when memory runs out.
local sweep = require "spec.support.shared.alloc_sweep"

sweep {
  name = "load cce.core",
  setup = function()
    package.loaded["cce.core"] = nil
  end,
  action = function()
    return require "cce.core"
  end,
}
