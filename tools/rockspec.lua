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

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function core_lines()
  local lines = { '    ["cce.core"] = {\n      sources = {\n' }
  for _, path in ipairs(files "find src -name '*.c'") do
    lines[#lines + 1] = ('        "%s",\n'):format(path)
  end
  lines[#lines + 1] = '      },\n      defines = { "_GNU_SOURCE", "_FILE_OFFSET_BITS=64",'
    .. ' "_TIME_BITS=64" },\n'
  lines[#lines + 1] = '      incdirs = { "src" },\n'
  lines[#lines + 1] = '      libraries = { "curl", "ssl", "crypto", "pthread", "m" },\n'
  lines[#lines + 1] = '      libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)" },\n    },\n'
  return lines
end

local function module_name(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

local function modules()
  local lines = core_lines()
  for _, path in ipairs(files "find lua -name '*.lua'") do
    lines[#lines + 1] = ('    ["%s"] = "%s",\n'):format(module_name(path), path)
  end
  return table.concat(lines)
end

local old = read(PATH)
local _, head_end = assert(old:find(FIRST, 1, true))
local tail = assert(old:find(LAST, 1, true))
local new = old:sub(1, head_end) .. modules() .. old:sub(tail)

if new == old then
  return
elseif arg[1] == "--check" then
  io.stderr:write(PATH, ": its modules are not those of src/ and lua/; run ",
    "`lua5.4 tools/rockspec.lua`\n")
  os.exit(1)
end
local file = assert(io.open(PATH, "wb"))
file:write(new)
file:close()
