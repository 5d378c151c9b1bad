-- The same request as once.lua by a script that has Lua, lua-cjson and libcurl
-- alone. Prints what it took, as JSON.
local cjson = require "cjson"
local account = require "bench.lib.account"
local headers = {}
for name, value in pairs(account.headers) do headers[#headers + 1] = name .. ": " .. value end
local failed = require("curl_floor").run {
  url = "https://127.0.0.1:" .. arg[1] .. account.path, ca_file = arg[2],
  body = cjson.encode { component = "all" }, headers = headers, count = 1, concurrency = 1,
}
assert(failed == 0)
print(cjson.encode { cpu = os.clock(),
  peak_resident = require("bench.lib.process").peak_resident() })
