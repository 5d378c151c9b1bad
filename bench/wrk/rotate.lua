-- For wrk: the bytes of a rotation, as the library sends them.
package.path = "./?.lua;" .. package.path
local account = require "bench.lib.account"
require "bench.wrk.report"
wrk.method, wrk.path, wrk.body = "POST", account.path, account.body -- luacheck: ignore
for name, value in pairs(account.headers) do wrk.headers[name] = value end -- luacheck: ignore
