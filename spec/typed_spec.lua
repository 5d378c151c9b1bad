-- What README and the tutorial show, typed into a terminal of 80 columns where the command was
-- installed from a clean copy into a prefix of its own: it gives what the page shows, character by
-- character but for ids, times and places.
local examples = require "spec.support.examples"
local installed = require "spec.support.installed"
local sys = require("cce.core").sys
local simulator = require "spec.support.sim"
local tempdir = require "spec.support.tempdir"
local terminals = require "spec.support.terminal"

local VERSION = os.getenv "CCE_TEST_VERSION"

-- A cloud that a page takes for granted, and in it somebody who will leave.
local function cloud(name)
  return ("cce sim --dir %s --clusters 4 > %s.log & until [ -e %s/env ]; do sleep 0.1; done;"
    .. " set -a; . %s/env; set +a; (. %s/env.member;"
    .. " cce obtain cluster-002 --days 30 --out leaver.kubeconfig)"):gsub("%%s", name)
end

-- `before`: what is typed before a line, and not shown. What the shell did must not hold up
-- the same in Lua: ten changes a minute are what the API takes.
local PAGES = {
  { path = "README.md", steps = 5, before = {
    ["cce obtain cluster-001 --days 30 --out prod.kubeconfig"] = cloud "cloud",
    ["lua5.4 job.lua"] = cloud "other",
  } },
  { path = "manual/tutorial.md", steps = 20, before = {} },
  { path = "manual/commands.md", steps = 20, before = {} },
}

-- ---- what a page shows -----------------------------------------------------------

local function new_step(command, number)
  return { command = command, line = number, shown = {} }
end

-- A line after "$ " is typed, lines after "> " belong to it; the rest is what comes of it.
local function steps_of(page)
  local steps, inside, number = {}, false, 0
  for line in io.lines(page) do
    number = number + 1
    local command, more = line:match "^%$ (.*)$", line:match "^> ?(.*)$"
    if line:match "^```" then
      inside = line == "```console"
    elseif inside and command then
      steps[#steps + 1] = new_step(command, number)
    elseif inside and more then
      steps[#steps].command = steps[#steps].command .. "\n" .. more
    elseif inside then
      table.insert(steps[#steps].shown, line)
    end
  end
  return steps
end

-- What differs from one time to the next: moments, spans, ids, ports, rates; and the blanks that
-- align what stands beside them.
local DIFFERS = {
  { "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*Z", "<time>" },
  { "%d%d%d%d%-%d%d%-%d%d%f[^%d-]", "<day>" },
  -- A certificate of 30 days has 29 days and some hours left, or a second after it was issued 30.
  { "%f[%d]29 days", "30 days" }, { "%f[%d]119 minutes", "2 hours" },
  { "in %d+ %a+s?", "<span>" }, { "%d+ %a+ ago", "<span>" },
  { "%d+%.%d+ s%f[^%w]", "<seconds>" }, { "late=%d+%.%d", "late=<seconds>" },
  { "%d+%.%d/%a+", "<rate>" }, { "in %d+:%d%d", "in <span>" },
  { "%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+", "<id>" },
  { "%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x", "<id>" },
  { "%f[%w]%d%w%w%w%w%w%w%w%w%w%w%w%w%w%w%w%f[%W]", "<id>" }, { "%f[%w]%w+…", "<id>" },
  { "(127%.0%.0%.%d):%d+", "%1:<port>" }, { "/tmp/[%w./-]+", "<directory>" },
  -- By the version of kubectl.
  { "(logged in to the server) %(.-%)", "%1" },
  { "%d+[smhd]%f[%s]", "<age>" },
  { "%f[%w]1%d%d%d%d%d%d%d%d%d%f[%D]%.?%d*", "<unix>" }, { "%s*(<%l+>)%s*", " %1 " },
}

local function without_differences(lines)
  local list = {}
  for _, line in ipairs(lines) do
    for _, each in ipairs(DIFFERS) do line = line:gsub(each[1], each[2]) end
    list[#list + 1] = line:gsub(" $", "")
  end
  return table.concat(list, "\n")
end

-- What some versions of kubectl say beside.
local function without_log(lines)
  local list = {}
  for _, line in ipairs(lines) do
    if not line:find "^E%d%d%d%d " then list[#list + 1] = line end
  end
  return list
end

-- ---- typing it ---------------------------------------------------------------------

local PATIENCE_SECONDS = 120

-- Waits until `check` is true of what was shown since a position.
local function wait(terminal, position, check)
  local deadline = sys.monotonic() + PATIENCE_SECONDS
  repeat
    local shown = terminal:history()
    if check(shown:sub(position)) then return shown end
    sys.sleep(0.02)
  until sys.monotonic() > deadline
  error("this does not go on:\n" .. terminal:history():sub(position), 0)
end

local function prompt_is_back(text)
  return text:match "\n%$\n$" ~= nil
end

-- The lines that came of a command, without the echo of the command itself.
local function output_of(screen, position, command)
  local lines, typed = {}, 1 + select(2, command:gsub("\n", ""))
  for line in screen:sub(position):gmatch "([^\n]*)\n" do
    if typed == 0 then lines[#lines + 1] = line:gsub("%s+$", "") end
    typed = math.max(0, typed - 1)
  end
  while lines[#lines] == "" or lines[#lines] == "$" do lines[#lines] = nil end
  return lines
end

-- The word that the page shows as typed at a question; none is Enter alone.
local function answer_of(step)
  for _, line in ipairs(step.shown) do
    local question, word = line:match "^(Type %u+ to go on:) (%u+)$"
    question = question or line:match "^Access key .*:$"
    if question then return question, word or "" end
  end
end

-- Types a step where the prompt is; returns what it showed.
local function play(terminal, step)
  local start = #terminal:history()
  for line in (step.command .. "\n"):gmatch "([^\n]*)\n" do terminal:type(line) end
  local question, word = answer_of(step)
  if question then
    wait(terminal, start, function(text) return text:find(question, 1, true) end)
    terminal:type(word)
  end
  local shown = wait(terminal, start, prompt_is_back)
  return output_of(shown, start, step.command)
end

-- The page with what came of each step in the place of what it showed.
local function write_page(path, steps, shown)
  local lines, last, number, skip_to = {}, 0, 0, nil
  local by_line = {}
  for i, step in ipairs(steps) do by_line[step.line] = i end
  for line in io.lines(path) do
    number = number + 1
    local index = by_line[number]
    if line:match "^```" or index then skip_to = nil end
    if not skip_to then lines[#lines + 1] = line end
    last = index or last
    local next_is_more = last > 0 and skip_to == nil
      and number - steps[last].line == select(2, steps[last].command:gsub("\n", ""))
    if next_is_more and (index or line:match "^>") then
      for _, each in ipairs(shown[last]) do lines[#lines + 1] = each end
      skip_to = true
    end
  end
  tempdir.write(path, table.concat(lines, "\n") .. "\n")
end

describe("what is typed in #toolchain", function()
  if VERSION ~= "5.4" then
    return pending "what is shown does not depend on the Lua: it runs with Lua 5.4's specs"
  end
  for _, program in ipairs { "tmux", "nginx", "kubectl", "make" } do
    if not simulator.has_program(program) then return pending("needs " .. program) end
  end

  local place, terminal, home

  setup(function() place = installed.place() end)
  teardown(function() place:remove() end)

  before_each(function()
    home = tempdir.new()
    place.env.HOME, place.env.NO_COLOR = home, "1"
    terminal = terminals.new({ dir = home, cwd = home, env = place.env }, 80)
  end)

  after_each(function()
    terminal:key "C-c"
    terminal:close()
    tempdir.remove(home)
  end)

  -- The program that a page shows lies where it is said to be.
  local function write_programs(path)
    for _, block in ipairs(examples.blocks(path, "lua")) do
      local name = block.text:match "^%-%- (%w+%.lua)\n"
      if name then tempdir.write(home .. "/" .. name, block.text .. "\n") end
    end
  end

  for _, page in ipairs(PAGES) do
    it(page.path .. " gives what it shows", function()
      write_programs(page.path)
      local steps, shown = steps_of(page.path), {}
      for i, step in ipairs(steps) do
        local before = page.before[step.command]
        if before then play(terminal, { command = before, shown = {} }) end
        shown[i] = without_log(play(terminal, step))
        -- To write what the page shows anew: CCE_TEST_WRITE=1.
        if not os.getenv "CCE_TEST_WRITE" then
          assert.equal(without_differences(step.shown), without_differences(shown[i]),
            ("%s:%d: $ %s\nshows\n%s"):format(page.path, step.line, step.command,
              table.concat(shown[i], "\n")))
        end
      end
      assert.is_true(#steps >= page.steps)
      if os.getenv "CCE_TEST_WRITE" then write_page(page.path, steps, shown) end
    end)
  end
end)
