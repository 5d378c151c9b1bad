--- Values that others write: into the environment, into JSON, into paths.
-- @module cce.base.values
-- @local
local core = require "cce.core"

local M = {}

--- A text without the byte order mark that some editors and shells write before it.
-- @tparam string text
-- @treturn string
function M.without_mark(text)
  return (text:gsub("^\239\187\191", ""))
end

--- The value of an environment variable, without a byte order mark, as a secret in one is read;
-- nil when it is not set, or empty.
-- @tparam string name
-- @treturn ?string
function M.env(name)
  local value = M.without_mark(os.getenv(name) or "")
  return value ~= "" and value or nil
end

local SMALL, CAPITAL = {}, {}
for code = 65, 90 do
  SMALL[string.char(code)], CAPITAL[string.char(code + 32)] = string.char(code + 32),
    string.char(code)
end

--- A text in small letters, by ASCII: string.lower asks the host's locale, and a Turkish one
-- has another "i".
-- @tparam string text
-- @treturn string
function M.lower(text)
  return (text:gsub("[A-Z]", SMALL))
end

--- The same in capitals.
-- @tparam string text
-- @treturn string
function M.upper(text)
  return (text:gsub("[a-z]", CAPITAL))
end

--- A text of JSON that may be something else, empty, or not there.
-- @treturn ?string
function M.text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

--- The same for an object; an empty one in its place.
-- @treturn table
function M.object(value)
  return type(value) == "table" and value or {}
end

--- Whether a value of JSON is a list; an empty object is told from none.
-- @treturn boolean
function M.is_list(value)
  return type(value) == "table" and (#value > 0 or next(value) == nil)
end

--- The address of a proxy whose password holds an "@", as Go and most tools read it: what
-- stands behind the last one is the host. libcurl wants the others escaped.
-- @tparam string url
-- @treturn string
function M.escape_at(url)
  local before, authority, rest = url:match "^(.-://)([^/?#]*)(.*)$"
  if not before then before, authority, rest = "", url:match "^([^/?#]*)(.*)$" end
  local user, host = authority:match "^(.*)(@[^@]*)$"
  return user and before .. user:gsub("@", "%%40") .. host .. rest or url
end

--- A path as a pattern of `core.file.glob` that stands for it alone.
-- @tparam string path
-- @treturn string
function M.pattern_of(path)
  return (path:gsub("[%*%?%[%]\\]", "\\%0"))
end

--- A text as one word of a shell.
-- @tparam string text
-- @treturn string
function M.shell_word(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Whether a string can stand as an id in a path or a query.
-- @tparam string id
-- @treturn boolean
-- @treturn string what is expected
function M.is_id(id)
  return core.is_id(id), "an id: 1 to 128 letters, digits, \".\", \"_\" or \"-\","
    .. " a letter or digit first, no \"..\""
end

--- The rule for it of `cce.base.options`.
M.id_rule = { type = "string", check = M.is_id }

return M
