--- Everything that a spec file made our objects print, to look for secrets in it at the end.
local assert = require "luassert"
local busted = require "busted"

local M = {}

local texts = {}

local collect

local function collect_members(value, seen)
  if seen[value] then return end
  seen[value] = true
  for key, member in pairs(value) do
    collect(key, seen)
    collect(member, seen)
  end
end

function collect(value, seen)
  texts[#texts + 1] = tostring(value)
  if type(value) == "table" then collect_members(value, seen) end
end

--- Remembers how values print, and of tables every key and member too. Returns them.
function M.add(...)
  for i = 1, select("#", ...) do
    collect((select(i, ...)), {})
  end
  return ...
end

--- Remembers how a value prints, but looks at no field of it: for what holds a secret that is the
-- user's, such as `kubeconfig.raw`.
function M.shown(value)
  texts[#texts + 1] = tostring(value)
  return value
end

function M.count()
  return #texts
end

--- The first text that holds one of the secrets, or a private key.
function M.find(secrets)
  for _, text in ipairs(texts) do
    for _, secret in ipairs(secrets) do
      if text:find(secret, 1, true) then return text end
    end
    if text:find("PRIVATE KEY", 1, true) or text:find("UFJJVkFURSBLRV", 1, true) then
      return text
    end
  end
  return nil
end

--- The last block of a spec file: more than so many texts were printed, and no secret.
function M.describe(least, secrets)
  busted.describe("everything that these specs made print", function()
    busted.it("shows no secret", function()
      assert.is_true(M.count() > least)
      assert.is_nil(M.find(secrets))
    end)
  end)
end

return M
