-- Loads the library, signs, sends one request. Prints what it took, as JSON.
local cce = require "cce"
local account = require "bench.lib.account"
local client = assert(cce.new(account.options(arg[1], arg[2])))
assert(client:rotate_credentials(account.cluster_id, { component = "all" }))
print(("{\"cpu\":%f,\"peak_resident\":%d}"):format(os.clock(),
  require("bench.lib.process").peak_resident()))
