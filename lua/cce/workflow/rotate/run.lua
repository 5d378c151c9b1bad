--- A run of `cce.workflow.rotate`: waves, stops, the rate, the progress.
-- @module cce.workflow.rotate.run
-- @local
local map = require "cce.map"
local rotate_report = require "cce.workflow.rotate.report"
local rotation = require "cce.workflow.rotate.cluster"
local times = require "cce.base.times"

local M = {}

local Run = {}
Run.__index = Run

--- Begin nothing new.
-- @function run:stop
function Run:stop(reason)
  self.stopped = self.stopped or reason
end

--- Write to the journal; stop when that fails.
-- @function run:write
function Run:write(what, fields)
  local ok, message = self.journal:write(what, fields)
  if not ok then self:stop("the journal cannot be written: " .. message) end
end

local ENDED = rotate_report.ENDED

local function progress_of(run)
  local done, failed = 0, 0
  for _, item in ipairs(run.items) do
    if ENDED[item.state] then done = done + 1 end
    if item.state == "failed" or item.state == "uncertain" then failed = failed + 1 end
  end
  return done, failed
end

local function report_progress(run)
  if not run.opts.on_progress then return end
  local done, failed = progress_of(run)
  if run.opts.on_progress(done, #run.items, failed) == false then
    run:stop("on_progress cancelled it")
  end
end

-- A bar is left whole, so that the report begins on a line of its own.
local function finish_progress(run)
  local display = run.opts.on_progress
  if type(display) == "table" and display.finish then display:finish() end
end

local function max_failures(run)
  local limit = run.opts.max_failures
  if type(limit) ~= "string" then return limit end
  return math.max(1, math.ceil(#run.items * tonumber(limit:match "[%d.]+") / 100))
end

local function count_failure(run, item)
  if item.state ~= "failed" and item.state ~= "uncertain" then return end
  run.failures = run.failures + 1
  local limit = max_failures(run)
  if limit and run.failures >= limit then
    run:stop(("%d failures: max_failures is %s"):format(run.failures,
      tostring(run.opts.max_failures)))
  end
end

-- What a mistake of ours left undone must not look untouched.
local function note_raised(item, result)
  if result.ok then return end
  item.err = result.err
  item.state = item.state == "planned" and "failed" or "uncertain"
end

local function process(run, item)
  if run.stopped and item.state == "planned" then return true end
  rotation.process(run, item)
  count_failure(run, item)
  return true
end

local function process_all(run, items, concurrency)
  local results = map(items, function(item) return process(run, item) end, {
    concurrency = concurrency, on_progress = function() report_progress(run) end,
  })
  for i, result in ipairs(results) do note_raised(items[i], result) end
end

local function select_items(run, fits)
  local list = {}
  for _, item in ipairs(run.items) do
    if fits(item) then list[#list + 1] = item end
  end
  return list
end

--- The items that are in a state.
-- @function run:items_in
function Run:items_in(state)
  return select_items(self, function(item) return item.state == state end)
end

--- How many items are in a state.
-- @function run:count
function Run:count(state)
  return #self:items_in(state)
end

local function is_planned(item) return item.state == "planned" end

-- What earlier starts left open, before anything new is sent.
local function go_on(run)
  process_all(run, select_items(run, function(item)
    local wants_kubeconfig = item.state == "ok" and run.opts.reissue and not item.reissued
    return item.state == "open" or item.state == "accepted" or wants_kubeconfig
  end), run.opts.concurrency)
end

-- One after the other, until so many have succeeded.
local function canary_wave(run)
  local wanted = run.opts.canary
  if wanted == 0 then return end
  if run:count("failed") > 0 and run:count("ok") < wanted then
    return run:stop("a canary failed at an earlier start; canary=0 goes on nevertheless")
  end
  for _, item in ipairs(select_items(run, is_planned)) do
    if run.stopped or run:count("ok") >= wanted then return end
    process_all(run, { item }, 1)
    if item.state == "failed" or item.state == "uncertain" then
      run:stop(("the canary %s %s"):format(item.name or item.id,
        item.state == "failed" and "failed" or "is uncertain"))
    end
  end
end

local function look_again(run)
  local left = select_items(run, function(item)
    return item.state == "uncertain" and not item.job_id
  end)
  map(left, function(item) rotation.look_again(run, item) end,
    { concurrency = run.opts.concurrency })
end

local function execute(run)
  -- Those that an earlier start sent within the window count, too.
  run.pace:count_earlier(run.items)
  for _, item in ipairs(run.items) do item.paced = run.pace:limited(item.client) end
  run.failures = run:count("failed")
  go_on(run)
  canary_wave(run)
  if not run.stopped then
    process_all(run, select_items(run, is_planned), run.opts.concurrency)
  end
  look_again(run)
  finish_progress(run)
end

--- Do what is left to do.
-- @function run:execute
function Run:execute()
  execute(self)
end

--- Make a run.
-- @tparam table opts checked
-- @tparam table journal
-- @tparam function clock
-- @treturn table
function M.new(opts, journal, clock)
  return setmetatable({ opts = opts, journal = journal, clock = clock, items = {},
    wait = opts.waiting, failures = 0, name = opts.run or times.format(clock()) }, Run)
end

return M
