--- Credentials in the profile file of the official SDKs.
-- @module cce.credentials.profile_file
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local providers = require "cce.credentials.provider"
local values = require "cce.base.values"

local env = values.env

local M = {}

-- The whole file, as a secret.
local function read_profile(path)
  local stat, reason, code = core.file.stat(path)
  if not stat then
    if code then return errors.fail(code, reason) end
    return providers.nothing("there is no file " .. path)
  end
  local text
  text, reason, code = core.secret_from_private_file(path)
  if text then return text end
  local is_open = tonumber(stat.mode, 8) % 64 ~= 0
  return errors.fail(code, reason, {
    hint = is_open and "Mend it with: chmod 600 " .. values.shell_word(path) or nil,
  })
end

local function section_of(text, wanted)
  for _, section in ipairs(wanted and { wanted } or { "basic", "global" }) do
    for _, key in ipairs { "ak", "sk", "idp_id", "id_token_file" } do
      local part = text:part("ini", section, key)
      if part then
        part:close()
        return section
      end
    end
  end
end

local function keys_of_section(text, section, path)
  local ak, sk = text:text("ini", section, "ak"), text:part("ini", section, "sk")
  if not ak and not sk then return nil end
  if not ak or not sk then
    if sk then sk:close() end
    return providers.incomplete(("%s: [%s] has %s, but no %s"):format(path, section,
      ak and "ak" or "sk", ak and "sk" or "ak"))
  end
  return { ak = ak, sk = sk, security_token = text:part("ini", section, "security_token") }
end

local function id_token_of_section(text, section, path, client, iam_endpoint)
  local idp_id = text:text("ini", section, "idp_id")
  local file = text:text("ini", section, "id_token_file")
  if not idp_id or not file then
    return providers.incomplete(("%s: [%s] has %s, but no %s"):format(path, section,
      idp_id and "idp_id" or "id_token_file", idp_id and "id_token_file" or "idp_id"))
  end
  return require("cce.credentials.token").exchange_id_token(client, {
    idp_id = idp_id, id_token_file = file, iam_endpoint = iam_endpoint,
    project_id = text:text("ini", section, "project_id"),
    domain_id = text:text("ini", section, "domain_id"),
  })
end

-- A line may mean something else than its writer thought: nothing is sent with another
-- key, nor with a half of one.
local function check(text, path, section)
  local ok, reason = text:check_ini(section)
  if ok then return true end
  return providers.incomplete(("%s, %s"):format(path, reason))
end

local function read_section(text, path, wanted, client)
  local ok, problem, failure = check(text, path)
  if not ok then return nil, problem, failure end
  local section = section_of(text, wanted)
  if not section then
    return providers.nothing(("%s has no keys in [%s]"):format(path, wanted or "basic] or [global"))
  end
  ok, problem, failure = check(text, path, section)
  if not ok then return nil, problem, failure end
  local iam_endpoint = text:text("ini", section, "iam_endpoint")
  if iam_endpoint and not iam_endpoint:find("://", 1, true) then
    iam_endpoint = "https://" .. iam_endpoint
  end
  local material, message, err = keys_of_section(text, section, path)
  if not material and not message then
    material, message, err = id_token_of_section(text, section, path, client, iam_endpoint)
  end
  if not material then return nil, message, err end
  material.project_id = text:text("ini", section, "project_id") or material.project_id
  material.iam_endpoint = iam_endpoint
  return material
end

--- The file that the official SDKs read.
-- @tparam table opts `path`, `section`
-- @treturn table a provider
function M.profile(opts)
  return providers.new("profile", function(_, client)
    local home = env "HOME"
    local path = opts.path or env "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
      or home and home .. "/.huaweicloud/credentials"
    if not path then
      return providers.nothing("neither HUAWEICLOUD_SDK_CREDENTIALS_FILE nor HOME is set")
    end
    local is_replaced = providers.watch(path)
    local text, message, err = read_profile(path)
    if not text then return nil, message, err end
    local material
    material, message, err = read_section(text, path, opts.section, client)
    text:close()
    if material then material.is_replaced = is_replaced end
    return material, message, err
  end)
end

return M
