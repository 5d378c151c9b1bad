--- Random identifiers, from OpenSSL.
local rand = require("openssl.rand")

local M = {}

function M.hex(bytes)
  return (rand.bytes(bytes):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

--- A version 4 UUID.
function M.uuid()
  local h = M.hex(16)
  local variant = ("%x"):format(8 + tonumber(h:sub(17, 17), 16) % 4)
  return table.concat({
    h:sub(1, 8), h:sub(9, 12), "4" .. h:sub(14, 16), variant .. h:sub(18, 20), h:sub(21, 32),
  }, "-")
end

return M
