-- Writes lua/cce/text/width_data.lua out of Unicode's own data, as Debian's package
-- unicode-data has it:
--   lua tools/width.lua [DIRECTORY]
local DIRECTORY = arg[1] or "/usr/share/unicode"
local PATH = "lua/cce/text/width_data.lua"

local LAST = 0x10FFFF

-- Calls `fn` with the first and the last code point and the property of each line.
local function each_range(name, fn)
  for line in assert(io.open(DIRECTORY .. "/" .. name)):lines() do
    local first, last, value = line:match "^(%x+)%.?%.?(%x*) *; *(%w+)"
    if first then fn(tonumber(first, 16), tonumber(last, 16) or tonumber(first, 16), value) end
  end
end

local width = {}
each_range("EastAsianWidth.txt", function(first, last, value)
  if value ~= "W" and value ~= "F" then return end
  for point = first, last do width[point] = 2 end
end)
each_range("extracted/DerivedGeneralCategory.txt", function(first, last, value)
  if value ~= "Mn" and value ~= "Me" and value ~= "Cf" then return end
  for point = first, last do width[point] = 0 end
end)
-- Terminals show the soft hyphen, and join the vowels and final consonants of Hangul.
width[0xAD] = nil
for point = 0x1160, 0x11FF do width[point] = 0 end

local function ranges(wanted)
  local list, first = {}, nil
  for point = 0, LAST + 1 do
    local fits = width[point] == wanted
    if fits and not first then first = point end
    if first and not fits then
      list[#list + 1] = ("0x%X, 0x%X"):format(first, point - 1)
      first = nil
    end
  end
  return list
end

local function table_of(list)
  local lines, line = {}, " "
  for _, each in ipairs(list) do
    if #line + #each + 2 > 98 then
      lines[#lines + 1], line = line, " "
    end
    line = line .. " " .. each .. ","
  end
  lines[#lines + 1] = line
  return "{\n" .. table.concat(lines, "\n") .. "\n  }"
end

local version = assert(io.open(DIRECTORY .. "/EastAsianWidth.txt")):read "*l":match "([%d.]+)%.txt"
local file = assert(io.open(PATH, "w"))
file:write("-- Columns that characters take, by Unicode ", version,
  ". Written by tools/width.lua: first and last\n-- code points of ranges, in order; "
  .. "what is in none takes one column.\nreturn {\n  none = ", table_of(ranges(0)),
  ",\n  two = ", table_of(ranges(2)), ",\n}\n")
file:close()
