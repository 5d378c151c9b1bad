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

-- What is built already is not compiled again.
local function prepare()
  local status, output = run(("cd %s && bash -c '. tools/lib.sh; copy_tree %s/tree' && "
    .. "mkdir %s/tree/build && { cp -a build/5.4 build/plain build/tools %s/tree/build || true; } "
    .. "&& cd %s/tree && make --no-print-directory -s -j2 LUA_VERSION=5.4 test-core harness")
    :format(quote(ROOT), scratch, scratch, scratch, scratch))
  if status ~= 0 then error("the copy was not built:\n" .. output, 0) end
end

-- Whether a C source differs from what was built of it.
local is_stale = false

local function build()
  if not is_stale then return true end
  is_stale = false
  local status, output = run(("cd %s/tree && make -s LUA_VERSION=5.4 test-core"):format(scratch))
  return status == 0, output
end

local function change(path, text)
  write(scratch .. "/tree/" .. path, text)
  is_stale = is_stale or path:find "%.[ch]$" ~= nil
end

local runs = 0

-- Whether the specs pass there: the first that fails says enough. One that does not end within
-- `patience` seconds is one that notices.
local function specs_pass(mutant, patience)
  runs = runs + 1
  local out = ("%s/%d.results"):format(scratch, runs)
  write(out, "")
  local filter = mutant.filter and "--filter=" .. quote(mutant.filter) or ""
  local status, output = run(("cd %s/tree && CCE_TEST_RESULTS=%s build/tools/reap -w %s %d "
    .. "tools/run-lua 5.4 \"$(command -v busted)\" --lpath=\"$PWD/lua/?.lua\" "
    .. "--cpath=\"$PWD/build/5.4/?.so\" -o tools/report.lua --no-keep-going "
    .. "--exclude-tags=long %s %s"):format(
    scratch, out, out, patience, filter, mutant.specs))
  return status == 0 and read(out):find "\nok " ~= nil, output
end

-- How many seconds the specs take without a change; false when they fail, and notice nothing.
local healthy = {}

local function seconds_when_healthy(mutant)
  local key = mutant.specs .. "\0" .. (mutant.filter or "")
  if healthy[key] == nil then
    assert(build())
    local start = os.time()
    local pass, output = specs_pass(mutant, 300)
    healthy[key] = pass and os.time() - start
    if not pass then print(output) end
  end
  return healthy[key]
end

-- Where its text is in its file, once.
local function place_of(mutant)
  local original = read(mutant.file)
  local first, last = original:find(mutant.find, 1, true)
  if not first or original:find(mutant.find, last + 1, true) then
    tell(false, mutant.name, first and "its text is there twice" or "its text is gone")
    return nil
  end
  return original, first, last
end

local function try(mutant)
  local original, first, last = place_of(mutant)
  if not original then return end
  if mutant.needs and run(mutant.needs) ~= 0 then
    local text = ("%s # needs %s"):format(mutant.name, mutant.needs)
    results:write("skip ", text, "\n")
    return print("skipped " .. text)
  end
  local seconds = seconds_when_healthy(mutant)
  if not seconds then
    return tell(false, mutant.name, "its specs fail without it")
  end
  change(mutant.file, original:sub(1, first - 1) .. mutant.with .. original:sub(last + 1))
  local built, output = build()
  if built then
    local pass = specs_pass(mutant, 60 + 4 * seconds)
    tell(not pass, mutant.name, pass and "nothing noticed it" or nil)
  else
    tell(false, mutant.name, "it does not compile:\n" .. output)
  end
  change(mutant.file, original)
end

-- ---- main ---------------------------------------------------------------------------------

local is_quick, pattern = false, nil
for _, argument in ipairs(arg) do
  if argument == "--quick" then is_quick = true else pattern = argument end
end

local ok, problem = pcall(function()
  prepare()
  for _, mutant in ipairs(mutants) do
    if (mutant.quick or not is_quick) and (not pattern or mutant.name:find(pattern)) then
      try(mutant)
    else
      place_of(mutant)
    end
  end
end)
os.execute("rm -rf " .. quote(scratch))
if not ok then tell(false, "the run of the changes", tostring(problem)) end
results:write "end\n"
results:close()
os.exit(failed == 0)
