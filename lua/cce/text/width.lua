--- Text on a terminal: how many columns it takes, cut or wrapped to fit, and
-- nothing in it that steers the terminal.
--
-- Widths are those of Unicode's data (`cce.text.width_data`): two columns for
-- East Asian wide characters and emoji, none for combining marks. The data is
-- loaded when the first character outside ASCII is met.
-- @module cce.text.width
-- @local
local M = {}

local UTF8_CHARACTER = "[%z\1-\127\194-\244][\128-\191]*"
local ESCAPE = "^\27%[[%d;]*%a"

--- The code point of a character of UTF-8; any number for bytes that are none.
-- @tparam string character
-- @treturn int
function M.code_point(character)
  local first, second, third, fourth = character:byte(1, 4)
  if fourth then
    return ((first % 8 * 64 + second % 64) * 64 + third % 64) * 64 + fourth % 64
  elseif third then
    return (first % 16 * 64 + second % 64) * 64 + third % 64
  end
  return second and first % 32 * 64 + second % 64 or first
end

--- The character of a code point.
-- @tparam int code
-- @treturn string
function M.character(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  local tail = string.char(0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  if code < 0x10000 then return string.char(0xE0 + math.floor(code / 4096)) .. tail end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64) .. tail
end

--- A text as UTF-8: what is none becomes U+FFFD, as Go writes it in JSON.
-- @tparam string text
-- @treturn string
function M.utf8(text)
  return (text:gsub("[\128-\255][\128-\191]*", function(piece)
    local code = M.code_point(piece)
    local is_character = code < 0xD800 or code >= 0xE000 and code < 0x110000
    return is_character and M.character(code) == piece and piece or "\239\191\189"
  end))
end

-- Binary search in a list of first and last code points.
local function is_in(ranges, point)
  local low, high = 1, #ranges / 2
  while low <= high do
    local middle = math.floor((low + high) / 2)
    if point < ranges[2 * middle - 1] then
      high = middle - 1
    elseif point > ranges[2 * middle] then
      low = middle + 1
    else
      return true
    end
  end
  return false
end

local function character_width(character)
  if #character == 1 then return 1 end
  local data, point = require "cce.text.width_data", M.code_point(character)
  if is_in(data.none, point) then return 0 end
  return is_in(data.two, point) and 2 or 1
end

--- The columns that a text takes.
-- @tparam string text
-- @treturn int
function M.of(text)
  if not text:find "[\128-\255]" then return #text end
  local width = 0
  for character in text:gmatch(UTF8_CHARACTER) do width = width + character_width(character) end
  return width
end

--- The beginning of a text, in at most so many columns. Escape sequences that
-- colour it take none, and all of them are kept.
-- @tparam string text
-- @tparam int width
-- @treturn string
function M.cut(text, width)
  local kept, i, is_full = {}, 1, false
  while i <= #text do
    local escape = text:match(ESCAPE, i)
    local piece = escape or text:match("^" .. UTF8_CHARACTER, i) or text:sub(i, i)
    if not escape then
      width = width - character_width(piece)
      is_full = is_full or width < 0
    end
    if escape or not is_full then kept[#kept + 1] = piece end
    i = i + #piece
  end
  return table.concat(kept)
end

--- A text as lines of at most so many columns, broken at blanks. A word that is
-- longer than a line stays whole.
-- @tparam string text
-- @tparam int width
-- @treturn {string,...}
function M.wrap(text, width)
  local lines, line, used = {}, nil, 0
  for word in text:gmatch "%S+" do
    local columns = M.of(word)
    if line and used + 1 + columns <= width then
      line, used = line .. " " .. word, used + 1 + columns
    else
      lines[#lines + 1] = line
      line, used = word, columns
    end
  end
  lines[#lines + 1] = line
  return lines
end

--- Prose as it fits a terminal: lines that are too long are broken at blanks, and what goes on
-- below is further in.
-- @tparam string text
-- @tparam ?int limit columns of the terminal; without it no line is broken
-- @treturn string
function M.fold(text, limit)
  if not limit then return text end
  return (text:gsub("[^\n]+", function(line)
    if M.of(line) <= limit then return nil end
    local indent = line:match "^ *"
    return indent .. table.concat(M.wrap(line, limit - #indent - 2), "\n  " .. indent)
  end))
end

--- Text that cannot steer a terminal: others chose the names in it.
-- @param text what `tostring` makes a text of
-- @treturn string with line ends and printable characters alone
function M.clean(text)
  return (tostring(text):gsub("[%z\1-\9\11-\31\127]", "?"):gsub("\194[\128-\159]", "?"))
end

--- The same for what must stay on one line.
-- @tparam ?any text nil stands for nothing
-- @tparam[opt=""] string nothing
-- @treturn string
function M.clean_line(text, nothing)
  if text == nil then return nothing or "" end
  return (M.clean(text):gsub("\n", "?"))
end

return M
