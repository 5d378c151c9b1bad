-- For wrk: somebody who asks now and then, and notices how long it takes.
package.path = "./?.lua;" .. package.path
require "bench.wrk.report"
function delay() return 5 end -- luacheck: ignore
