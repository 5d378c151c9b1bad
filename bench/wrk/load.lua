-- For wrk: as fast as the answers come.
package.path = "./?.lua;" .. package.path
require "bench.wrk.report"
