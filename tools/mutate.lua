--- Changes one term of a safety rule at a time, and sees that the specs notice.
--
--   tools/run-lua 5.4 tools/mutate.lua [--quick] [PATTERN]
--
-- spec/mutants.lua lists the changes. Each is made in a scratch copy of the tree, and the
-- specs that it names are run there: they must fail. --quick takes those that are marked so;
-- a pattern takes those whose name it fits. Results go to CCE_TEST_RESULTS, as those of specs
-- do, and it fails when a change survives or does not fit the sources.
local ROOT = assert(os.getenv "CCE_TEST_ROOT")
local mutants = dofile(ROOT .. "/spec/mutants.lua")

local results = io.open(os.getenv "CCE_TEST_RESULTS" or "/dev/null", "a")
local failed = 0

local function tell(ok, name, why)
  if not ok then failed = failed + 1 end
  results:write(ok and "ok " or "not ok ", name, "\n")
  results:flush()
  print((ok and "ok      " or "FAILED  ") .. name .. (why and ": " .. why or ""))
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function run(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1 </dev/null; echo status $?"))
  local text = pipe:read "*a"
  pipe:close()
  local output, status = text:match "^(.*)status (%d+)%s*$"
  return tonumber(status), output
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- ---- the scratch copy ---------------------------------------------------------------------

local scratch = assert(io.popen "mktemp -d"):read "*l"

local function prepare()
  local status, output = run(("cd %s && bash -c '. tools/lib.sh; copy_tree %s/tree' && "
    .. "cd %s/tree && make --no-print-directory -s -j2 LUA_VERSION=5.4 test-core harness"):format(
    quote(ROOT), scratch, scratch))
  if status ~= 0 then error("the copy was not built:\n" .. output, 0) end
end

local runs = 0

-- Whether the specs pass there. A spec that does not end is one that notices.
local function specs_pass(mutant)
  runs = runs + 1
  local out = ("%s/%d.results"):format(scratch, runs)
  write(out, "")
  local filter = mutant.filter and "--filter=" .. quote(mutant.filter) or ""
  local status, output = run(("cd %s/tree && CCE_TEST_RESULTS=%s build/tools/reap -w %s 60 "
    .. "tools/run-lua 5.4 \"$(command -v busted)\" --lpath=\"$PWD/lua/?.lua\" "
    .. "--cpath=\"$PWD/build/5.4/?.so\" -o tools/report.lua --exclude-tags=long %s %s"):format(
    scratch, out, out, filter, mutant.specs))
  local text = read(out)
  return status == 0 and text:find "\nok " ~= nil, output
end

local function once(text, find)
  local first, last = text:find(find, 1, true)
  if not first then return nil, "its text is not in the file any more" end
  if text:find(find, last + 1, true) then return nil, "its text is in the file twice" end
  return first, last
end

local function try(mutant)
  local path = scratch .. "/tree/" .. mutant.file
  local original = read(path)
  local first, last = once(original, mutant.find)
  if not first then return tell(false, mutant.name, last) end
  write(path, original:sub(1, first - 1) .. mutant.with .. original:sub(last + 1))
  local status, output = 0, nil
  if path:find "%.[ch]$" then
    status, output = run(("cd %s/tree && make -s LUA_VERSION=5.4 test-core"):format(scratch))
  end
  if status ~= 0 then
    tell(false, mutant.name, "it does not compile:\n" .. output)
  else
    local pass = specs_pass(mutant)
    tell(not pass, mutant.name, pass and "nothing noticed it" or nil)
  end
  write(path, original)
  if path:find "%.[ch]$" then
    run(("cd %s/tree && touch %s && make -s LUA_VERSION=5.4 test-core"):format(scratch,
      mutant.file))
  end
end

-- ---- main ---------------------------------------------------------------------------------

local is_quick, pattern = false, nil
for _, argument in ipairs(arg) do
  if argument == "--quick" then is_quick = true else pattern = argument end
end

local ok, problem = pcall(function()
  prepare()
  local healthy = {}
  for _, mutant in ipairs(mutants) do
    if (mutant.quick or not is_quick) and (not pattern or mutant.name:find(pattern)) then
      -- Specs that fail without a change notice nothing.
      local key = mutant.specs .. "\0" .. (mutant.filter or "")
      if healthy[key] == nil then
        local passed, output = specs_pass(mutant)
        healthy[key] = passed
        if not passed then print(output) end
      end
      if healthy[key] then
        try(mutant)
      else
        tell(false, mutant.name, "its specs fail without it")
      end
    end
  end
end)
os.execute("rm -rf " .. quote(scratch))
if not ok then tell(false, "the run of the changes", tostring(problem)) end
results:write "end\n"
results:close()
os.exit(failed == 0)
