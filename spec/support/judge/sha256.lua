--- SHA-256 (FIPS 180-4), HMAC and HKDF in plain Lua, to know the states inside of them: what lies
-- in memory is compared with these, and OpenSSL shows no state. Slow; for specs only.
local M = {}

-- Lua 5.1 has no operators on bits: words are numbers, and bits come from a table of nibbles.
local XOR, AND = {}, {}
for a = 0, 15 do
  for b = 0, 15 do
    local x, y, bit = 0, 0, 1
    for i = 0, 3 do
      local p, q = math.floor(a / 2 ^ i) % 2, math.floor(b / 2 ^ i) % 2
      if p ~= q then x = x + bit end
      if p == 1 and q == 1 then y = y + bit end
      bit = bit * 2
    end
    XOR[a * 16 + b], AND[a * 16 + b] = x, y
  end
end

local function combine(nibbles, a, b)
  local result, scale = 0, 1
  for _ = 1, 8 do
    result = result + nibbles[a % 16 * 16 + b % 16] * scale
    a, b, scale = math.floor(a / 16), math.floor(b / 16), scale * 16
  end
  return result
end

local function xor(a, b, c)
  local result = combine(XOR, a, b)
  return c and combine(XOR, result, c) or result
end

local function rotate(word, count)
  local low = word % 2 ^ count
  return (word - low) / 2 ^ count + low * 2 ^ (32 - count)
end

local function shift(word, count)
  return math.floor(word / 2 ^ count)
end

-- The first 32 bits of the fraction of a root of the first primes.
local function fractions(count, root)
  local list, candidate = {}, 2
  while #list < count do
    local prime = true
    for divisor = 2, math.floor(math.sqrt(candidate)) do
      if candidate % divisor == 0 then prime = false end
    end
    if prime then
      local value = candidate ^ (1 / root)
      list[#list + 1] = math.floor((value - math.floor(value)) * 2 ^ 32)
    end
    candidate = candidate + 1
  end
  return list
end

local K, START = fractions(64, 3), fractions(8, 2)

local function word_at(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function compress(h, bytes, at)
  local w = {}
  for i = 1, 16 do w[i] = word_at(bytes, at + 4 * (i - 1)) end
  for i = 17, 64 do
    local x, y = w[i - 15], w[i - 2]
    local s0 = xor(rotate(x, 7), rotate(x, 18), shift(x, 3))
    local s1 = xor(rotate(y, 17), rotate(y, 19), shift(y, 10))
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) % 2 ^ 32
  end
  local a, b, c, d, e, f, g, last = (table.unpack or unpack)(h) -- luacheck: ignore
  for i = 1, 64 do
    local s1 = xor(rotate(e, 6), rotate(e, 11), rotate(e, 25))
    local choice = xor(combine(AND, e, f), combine(AND, 2 ^ 32 - 1 - e, g))
    local t1 = (last + s1 + choice + K[i] + w[i]) % 2 ^ 32
    local s0 = xor(rotate(a, 2), rotate(a, 13), rotate(a, 22))
    local majority = xor(combine(AND, a, b), combine(AND, a, c), combine(AND, b, c))
    last, g, f, e = g, f, e, (d + t1) % 2 ^ 32
    d, c, b, a = c, b, a, (t1 + s0 + majority) % 2 ^ 32
  end
  local result = {}
  for i, value in ipairs { a, b, c, d, e, f, g, last } do result[i] = (h[i] + value) % 2 ^ 32 end
  return result
end

--- The state after whole blocks of 64 bytes.
function M.state(bytes)
  local h = START
  for at = 1, #bytes, 64 do h = compress(h, bytes, at) end
  return h
end

local function to_bytes(h, from, to, step)
  local bytes = {}
  for _, word in ipairs(h) do
    for i = from, to, step do
      bytes[#bytes + 1] = string.char(math.floor(word / 256 ^ i) % 256)
    end
  end
  return table.concat(bytes)
end

--- The bytes of a state as a digest has them, and as the words of this machine where it is a
-- little-endian one.
function M.big_endian(h) return to_bytes(h, 3, 0, -1) end
function M.little_endian(h) return to_bytes(h, 0, 3, 1) end

function M.digest(bytes)
  local zeros = ("\0"):rep((55 - #bytes) % 64)
  local bits = #bytes * 8
  local length = {}
  for i = 7, 0, -1 do length[#length + 1] = string.char(math.floor(bits / 256 ^ i) % 256) end
  return M.big_endian(M.state(bytes .. "\128" .. zeros .. table.concat(length)))
end

--- The two blocks that the hashes of an HMAC begin with.
function M.pads(key)
  if #key > 64 then key = M.digest(key) end
  key = key .. ("\0"):rep(64 - #key)
  local function masked(mask)
    return (key:gsub(".", function(byte) return string.char(combine(XOR, byte:byte(), mask)) end))
  end
  return masked(0x36), masked(0x5c)
end

function M.hmac(key, bytes)
  local inner, outer = M.pads(key)
  return M.digest(outer .. M.digest(inner .. bytes))
end

function M.hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

return M
