-- Scratch directories, whole files, descriptors, and other processes of the same Lua.
local M = {}

-- Where they go; the harness removes it at its end.
M.root = os.getenv "TMPDIR" or "/tmp"

function M.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

function M.new()
  local pipe = assert(io.popen("mktemp -d"))
  local path = pipe:read "*l"
  pipe:close()
  return path
end

function M.remove(path)
  os.execute("rm -rf " .. M.quote(path))
end

function M.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

function M.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- How many descriptors this process has open.
function M.descriptors()
  local count = 0
  for _ in require("lfs").dir "/proc/self/fd" do count = count + 1 end
  return count
end

-- What a shell command prints.
function M.shell(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

-- What a shell command prints, and its status.
function M.run(command)
  local text = M.shell("{ " .. command .. "; } 2>&1; echo status $?")
  local output, status = text:match "^(.*)status (%d+)%s*$"
  return output, tonumber(status)
end

-- What a shell command prints that must succeed.
function M.check(command)
  local output, status = M.run(command)
  assert(status == 0, command .. "\n" .. output)
  return output
end

-- The names in a directory, hidden ones too, in the order of the alphabet.
function M.list(path)
  local names = {}
  for name in M.shell("ls -A " .. M.quote(path)):gmatch "[^\n]+" do names[#names + 1] = name end
  return names
end

function M.is_root()
  return M.shell("id -u"):match "%d+" == "0"
end

-- The name of the interpreter that runs this.
function M.interpreter()
  return rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "[%d.]+$"
end

-- A shell command that runs Lua code in a new process, with our modules.
function M.lua(code)
  return ("LUA_PATH=%s LUA_CPATH=%s %s -e %s"):format(M.quote(package.path),
    M.quote(package.cpath), M.interpreter(), M.quote(code))
end

return M
