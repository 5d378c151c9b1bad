-- Loads the library, signs, sends one request, ends. With a third argument it
-- prints its peak resident memory in bytes.
local cce = require "cce"
local account = require "bench.lib.account"
local client = assert(cce.new(account.options(arg[1], arg[2])))
assert(client:rotate_credentials(account.cluster_id, { component = "all" }))
if arg[3] then print(require("bench.lib.process").peak_resident()) end
