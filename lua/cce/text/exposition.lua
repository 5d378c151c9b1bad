--- The text format of Prometheus, version 0.0.4.
-- @module cce.text.exposition
-- @local
local width = require "cce.text.width"

local M = {}

local Exposition = {}
Exposition.__index = Exposition

-- Values by sample, with the methods of a shared dictionary of nginx.
local Values = {}
Values.__index = Values

function Values:set(key, value) self[key] = value end

function Values:incr(key, value, first) self[key] = (self[key] or first) + value end

function Values:get(key) return self[key] end

function Values:get_keys()
  local keys = {}
  for key in pairs(self) do keys[#keys + 1] = key end
  return keys
end

--- Make an empty one.
-- @tparam[opt] table values where they are kept: a shared dictionary of nginx
-- @treturn table
function M.new(values)
  return setmetatable({ families = {}, values = values or setmetatable({}, Values) }, Exposition)
end

--- Name a metric: its type, and what it is, for people.
-- @tparam string name
-- @tparam string kind "gauge" or "counter"
-- @tparam string help
function Exposition:family(name, kind, help)
  if self.families[name] then return end
  local family = { name = name, kind = kind, help = help }
  self.families[name] = family
  self.families[#self.families + 1] = family
end

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function sample_of(self, name, labels)
  assert(self.families[name], name)
  -- Labels are sorted, so that the same ones are the same sample.
  local names, parts = {}, {}
  for label in pairs(labels or {}) do names[#names + 1] = label end
  table.sort(names)
  for i, label in ipairs(names) do
    parts[i] = ('%s="%s"'):format(label, tostring(labels[label]):gsub('[\\"\n]', ESCAPES))
  end
  return name .. (#parts > 0 and "{" .. table.concat(parts, ",") .. "}" or "")
end

--- Set a value.
function Exposition:set(name, labels, value)
  self.values:set(sample_of(self, name, labels), value)
end

--- Add to a value.
function Exposition:add(name, labels, value)
  self.values:incr(sample_of(self, name, labels), value, 0)
end

--- All of it.
-- @treturn string ends with a line end
function Exposition:text()
  local samples, lines = self.values:get_keys(0), {}
  table.sort(samples)
  local by_family = {}
  for _, sample in ipairs(samples) do
    local name = sample:match "^[^{]+"
    by_family[name] = by_family[name] or {}
    table.insert(by_family[name], ("%s %.17g"):format(sample, self.values:get(sample)))
  end
  for _, family in ipairs(self.families) do
    lines[#lines + 1] = ("# HELP %s %s"):format(family.name, (family.help:gsub("[\\\n]", ESCAPES)))
    lines[#lines + 1] = ("# TYPE %s %s"):format(family.name, family.kind)
    lines[#lines + 1] = by_family[family.name] and table.concat(by_family[family.name], "\n")
  end
  lines[#lines + 1] = ""
  -- For one byte that is none, Prometheus takes nothing of all this.
  return width.utf8(table.concat(lines, "\n"))
end

return M
