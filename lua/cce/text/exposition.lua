--- The text format of Prometheus, version 0.0.4.
-- @module cce.text.exposition
-- @local
local M = {}

local Exposition = {}
Exposition.__index = Exposition

--- Make an empty one.
-- @treturn table
function M.new()
  return setmetatable({ families = {} }, Exposition)
end

--- Name a metric: its type, and what it is, for people.
-- @tparam string name
-- @tparam string kind "gauge" or "counter"
-- @tparam string help
function Exposition:family(name, kind, help)
  if self.families[name] then return end
  local family = { name = name, kind = kind, help = help, samples = {} }
  self.families[name] = family
  self.families[#self.families + 1] = family
end

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function sample_of(self, name, labels)
  local family = assert(self.families[name], name)
  -- Labels are sorted, so that the same ones are the same sample.
  local names, parts = {}, {}
  for label in pairs(labels or {}) do names[#names + 1] = label end
  table.sort(names)
  for i, label in ipairs(names) do
    parts[i] = ('%s="%s"'):format(label, tostring(labels[label]):gsub('[\\"\n]', ESCAPES))
  end
  local text = #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
  if not family.samples[text] then
    family.samples[text] = { text = text, value = 0 }
    family.samples[#family.samples + 1] = family.samples[text]
  end
  return family.samples[text]
end

--- Set a value.
function Exposition:set(name, labels, value)
  sample_of(self, name, labels).value = value
end

--- Add to a value.
function Exposition:add(name, labels, value)
  local sample = sample_of(self, name, labels)
  sample.value = sample.value + value
end

--- All of it.
-- @treturn string ends with a line end
function Exposition:text()
  local lines = {}
  for _, family in ipairs(self.families) do
    lines[#lines + 1] = ("# HELP %s %s"):format(family.name, (family.help:gsub("[\\\n]", ESCAPES)))
    lines[#lines + 1] = ("# TYPE %s %s"):format(family.name, family.kind)
    for _, sample in ipairs(family.samples) do
      lines[#lines + 1] = ("%s%s %.17g"):format(family.name, sample.text, sample.value)
    end
  end
  lines[#lines + 1] = ""
  return table.concat(lines, "\n")
end

return M
