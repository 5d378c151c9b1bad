-- Writes the list of modules in the rockspec from the files that are there:
--   lua tools/rockspec.lua          rewrites the rockspec
--   lua tools/rockspec.lua --check  fails when that would change it
-- A module of the tree that the list forgot would be missing from the rock.

local PATH = "rockspec/lua-cce-scm-1.rockspec"
local FIRST = "    -- tools/rockspec.lua writes from here\n"
local LAST = "    -- to here\n"

local function files(command)
  local list = {}
  local pipe = assert(io.popen(command .. " | LC_ALL=C sort"))
  for line in pipe:lines() do
    list[#list + 1] = line
  end
  pipe:close()
  return list
end

local lines = { '    ["cce.core"] = {\n      sources = {\n' }
for _, path in ipairs(files "find src -name '*.c'") do
  lines[#lines + 1] = ('        "%s",\n'):format(path)
end
lines[#lines + 1] = '      },\n      defines = { "_GNU_SOURCE", "_FILE_OFFSET_BITS=64",'
  .. ' "_TIME_BITS=64" },\n'
lines[#lines + 1] = '      incdirs = { "src" },\n'
lines[#lines + 1] = '      libraries = { "curl", "ssl", "crypto", "pthread", "m" },\n'
lines[#lines + 1] = '      libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)" },\n    },\n'
for _, path in ipairs(files "find lua -name '*.lua'") do
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  lines[#lines + 1] = ('    ["%s"] = "%s",\n'):format(name, path)
end

local file = assert(io.open(PATH, "rb"))
local old = file:read "*a"
file:close()
local _, head_end = assert(old:find(FIRST, 1, true))
local tail = assert(old:find(LAST, 1, true))
local new = old:sub(1, head_end) .. table.concat(lines) .. old:sub(tail)

if new == old then
  return
elseif arg[1] == "--check" then
  io.stderr:write(PATH, ": its modules are not those of src/ and lua/; run ",
    "`lua5.4 tools/rockspec.lua`\n")
  os.exit(1)
end
file = assert(io.open(PATH, "wb"))
file:write(new)
file:close()
