--- JSON as the services need it: lua-cjson, plus empty arrays, which it cannot write.
local cjson = require("cjson.safe").new()

local M = {}

-- No text of the simulator holds this, so that it can be replaced after encoding.
local EMPTY = "@@cce_sim_empty_array@@"

M.null = require("cjson").null

--- The list itself, or what is encoded as `[]` when it has no element.
function M.array(list)
  return #list > 0 and list or EMPTY
end

-- cjson writes every `/` as `\/`, which the YAML reader inside kubectl does not understand.
function M.encode(value)
  return (assert(cjson.encode(value)):gsub("\\/", "/"):gsub('"' .. EMPTY .. '"', "[]"))
end

--- The decoded value, or nil, message.
function M.decode(text)
  return cjson.decode(text)
end

return M
