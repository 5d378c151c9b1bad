--- How many columns a text takes on a terminal.
-- @module cce.text.width
-- @local
local M = {}

-- Columns that a UTF-8 character takes, by its first byte: nearly all from
-- U+3000 on (CJK and emoji) take two.
local function character_width(character)
  return character:byte() >= 0xE3 and 2 or 1
end

local UTF8_CHARACTER = "[%z\1-\127\194-\244][\128-\191]*"

--- The columns that a text takes.
-- @tparam string text
-- @treturn int
function M.of(text)
  local width = 0
  for character in text:gmatch(UTF8_CHARACTER) do width = width + character_width(character) end
  return width
end

--- The beginning of a text, in at most so many columns.
-- @tparam string text
-- @tparam int width
-- @treturn string
function M.cut(text, width)
  local kept = {}
  for character in text:gmatch(UTF8_CHARACTER) do
    width = width - character_width(character)
    if width < 0 then break end
    kept[#kept + 1] = character
  end
  return table.concat(kept)
end

return M
