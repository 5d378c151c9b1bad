--- Addresses of regions that the user gives, in the places where the official
-- SDKs look for them too:
--
-- 1. the variable `HUAWEICLOUD_SDK_REGION_<SERVICE>_<REGION>`, in capitals and
--    with `_` for `-`, such as `HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4`: one
--    address, or several with commas between;
-- 2. the file that `HUAWEICLOUD_SDK_REGIONS_FILE` names, by default
--    `~/.huaweicloud/regions.yaml`, if it is there:
--
--         CCE:
--           - id: eu-de
--             endpoint: https://cce.eu-de.otc.t-systems.com
--         IAM:
--           - id: eu-de
--             endpoints: [https://iam.eu-de.otc.t-systems.com]
-- @module cce.api.endpoints.overrides
-- @local
local errors = require "cce.error"
local protect = require "cce.host.protect"
local values = require "cce.base.values"

local env = values.env

local M = {}

M.services = { "cce", "iam", "cts", "sts" }

-- The SDKs take an address without its scheme, too.
local function with_scheme(address)
  return address:find("://", 1, true) and address or "https://" .. address
end

--- Addresses with commas between, as a list.
-- @tparam string text
-- @treturn ?{string,...} nil when there is none
function M.split(text)
  local list = {}
  for address in text:gmatch("[^,%s]+") do list[#list + 1] = with_scheme(address) end
  return #list > 0 and list or nil
end

-- ---- the file ------------------------------------------------------------

local function bad_file(path, reason, code)
  return errors.fail(code or "FILE_ERROR", ("the regions file %s: %s"):format(path, reason), {
    hint = code == "MISSING_DEPENDENCY" and "Install lua-yaml (Debian) or the rock lyaml, or set "
      .. "HUAWEICLOUD_SDK_REGION_<SERVICE>_<REGION> instead of a file" or nil,
  })
end

-- The text; false when there is no such file and no variable names it.
local function read(path, is_named)
  local file, reason = io.open(path)
  local text
  if file then
    text, reason = file:read("*a")
    file:close()
  end
  if text then return text end
  if not is_named and not file then return false end
  return bad_file(path, "it cannot be read: " .. tostring(reason))
end

local function parse(path, text)
  local found, lyaml = pcall(require, "lyaml")
  if not found then
    return bad_file(path, "to read it lyaml must be installed", "MISSING_DEPENDENCY")
  end
  local ok, data = protect.catch(lyaml.load, text)
  if not ok then
    return bad_file(path, "it is no YAML: " .. tostring(data):gsub("^[^:]+:%d+: ", ""))
  elseif data ~= nil and type(data) ~= "table" then
    return bad_file(path, "it holds no table of services")
  end
  return data or {}
end

local function addresses_of(entry)
  local list = {}
  local given = entry.endpoints or { entry.endpoint }
  for _, address in ipairs(type(given) == "table" and given or { given }) do
    if type(address) ~= "string" or address == "" then return nil end
    list[#list + 1] = with_scheme(address)
  end
  return #list > 0 and list or nil
end

local function from_file(region)
  local named, home = env "HUAWEICLOUD_SDK_REGIONS_FILE", env "HOME"
  local path = named or home and home .. "/.huaweicloud/regions.yaml"
  if not path then return {} end
  local text, message, err = read(path, named ~= nil)
  if text == nil then return nil, message, err end
  if not text then return {} end
  local data
  data, message, err = parse(path, text)
  if not data then return nil, message, err end
  local found = {}
  for _, service in ipairs(M.services) do
    local title = values.upper(service)
    local section = data[title] or {}
    if not values.is_list(section) then
      return bad_file(path, ("%s is no list of regions"):format(title))
    end
    for i, entry in ipairs(section) do
      if not values.text(values.object(entry).id) then
        return bad_file(path, ("number %d of %s is no region with an id"):format(i, title))
      elseif entry.id == region then
        found[service] = addresses_of(entry)
        if not found[service] then
          return bad_file(path, ("%s region %s has no endpoint"):format(title, region))
        end
        break
      end
    end
  end
  return found
end

--- What the user says about a region.
-- @tparam string region
-- @treturn[1] table lists of addresses by service ("cce", "iam", "cts", "sts");
--   what it says nothing about is missing
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err code FILE_ERROR or MISSING_DEPENDENCY
function M.of(region)
  local found, message, err = from_file(region)
  if not found then return nil, message, err end
  for _, service in ipairs(M.services) do
    local name = values.upper(service .. "_" .. region):gsub("[^%w]", "_")
    local text = env("HUAWEICLOUD_SDK_REGION_" .. name)
    if text then found[service] = M.split(text) end
  end
  return found
end

return M
