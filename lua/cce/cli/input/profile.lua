--- Profiles: what need not be typed every time, and what was typed, as the
-- options of `cce.new`.
--
-- The file is `$XDG_CONFIG_HOME/cce/config`, else `~/.config/cce/config`:
--
--     [prod]
--     region = cn-north-4
--     project = 0123456789abcdef0123456789abcdef
--     credentials = profile-file:~/.huaweicloud/prod
--
-- A profile that is named, by `--profile` or `CCE_PROFILE`, beats the
-- environment; options beat both. `[default]` is used when nothing else says
-- where CCE is: neither an option, nor `CCE_ENDPOINT`, nor `CCE_REGION`.
-- @module cce.cli.input.profile
-- @local
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local options = require "cce.base.options"
local values = require "cce.base.values"

local env = values.env

local M = {}

-- The settings, in the order in which the manual names them.
local KEYS = { "cloud", "region", "project", "endpoint", "iam_endpoint", "cts_endpoint",
  "sts_endpoint", "ca_file", "credentials", "audit_log", "timeout", "schedule" }
M.KEYS = KEYS

--- The options of the library that the profile said, and by which of its settings: an error
-- of theirs speaks of that setting.
M.said = {}

local SECRETS = { ak = true, sk = true, access_key = true, secret_key = true, password = true,
  token = true, security_token = true, secret = true, id_token = true, private_key = true,
  username = true, client_key_data = true }

--- Where the file of profiles is.
-- @treturn string
function M.path()
  return directories.config() .. "/config"
end

-- ---- reading the file ----------------------------------------------------------

local function bad(path, number, message, hint)
  return errors.fail("INVALID_ARGUMENT", ("%s:%d: %s"):format(path, number, message),
    { hint = hint })
end

-- Never repeats a value: it may be a secret.
local function check_key(path, number, key)
  local is_known = false
  for _, name in ipairs(KEYS) do is_known = is_known or name == key end
  if SECRETS[key] or key:find "secret" or key:find "password" then
    return bad(path, number, ("'%s' has no place here: profiles are no place for secrets, they are"
      .. " copied and shown"):format(key), "Keep keys in ~/.huaweicloud/credentials (mode 0600)"
      .. " or a file like it, and write credentials = profile-file:PATH; or in the environment")
  elseif not is_known then
    local near = options.nearest(key, KEYS)[1]
    return bad(path, number, ("there is no setting of that name%s"):format(
      near and (" (did you mean '%s'?)"):format(near) or ""),
      "The settings are " .. table.concat(KEYS, ", "))
  end
  return true
end

--- What a line of settings says, by the rules of the SDKs' key files: "=" or ":", names in any
-- case, comments on lines of their own or behind a section.
-- @tparam string line
-- @treturn ?string "blank", "section" or "setting"; nil: none of them
-- @treturn ?string the name
-- @treturn ?string the value
function M.line(line)
  if line:find "^%s*$" or line:find "^%s*[#;]" then return "blank" end
  local section, rest = line:match "^%s*%[%s*([%w._-]+)%s*%]%s*(.*)$"
  if section and (rest == "" or rest:find "^[#;]") then return "section", section end
  local name, value = line:match "^%s*([%w_-]+)%s*[=:]%s*(.-)%s*$"
  if not name then return nil end
  return "setting", values.lower(name):gsub("-", "_"), value
end

-- Why a value is not what its writer meant. A path may have blanks and letters of any kind.
local function value_problem(key, value)
  local first = value:sub(1, 1)
  if (first == '"' or first == "'") and #value > 1 and value:sub(-1) == first then
    return "the value is in quotes, which would be a part of it"
  elseif value:find "%s[#;]" then
    return "a comment needs a line of its own: here it would be a part of the value"
  elseif value:find "[%c%z]" or value:find "\194\160" or value:find "\226\128[\139-\141]"
    or value:find "\239\187\191" then
    return "the value holds a character that cannot be seen, as copying leaves behind"
  elseif key == "timeout" and value ~= "" and not value:find "^%d+%.?%d*$" then
    return "the timeout is no number of seconds"
  end
  return nil
end

local function add_section(state, path, number, name)
  if name == "DEFAULT" then
    return bad(path, number, "no profile inherits from [DEFAULT]: write its settings into each, or"
      .. " call it [default], which is taken when nothing else says where the cloud is")
  elseif state.found[name] then
    return bad(path, number, ("[%s] is there twice"):format(name))
  end
  state.found[name], state.seen = {}, {}
  state.current = state.found[name]
  return true
end

local function read_line(state, path, number, line)
  local kind, name, value = M.line(line)
  if kind == "blank" then return true end
  if kind == "section" then return add_section(state, path, number, name) end
  if not kind then
    return bad(path, number, "neither [name] nor setting = value; a name has letters, digits,"
      .. " '.', '_' and '-'")
  end
  if not state.current then return bad(path, number, "a setting before the first [name]") end
  local ok, message, err = check_key(path, number, name)
  if not ok then return nil, message, err end
  local problem = state.seen[name] and ("'%s' is there twice in its profile"):format(name)
    or value_problem(name, value)
  if problem then return bad(path, number, problem) end
  state.seen[name] = true
  state.current[name] = value ~= "" and value or nil
  return true
end

-- Files of any system: with a byte order mark, and with LF, CR LF or CR behind a line.
local function read_text(path, text)
  if text:find "^\255\254" or text:find "^\254\255" then
    return bad(path, 1, "the file is UTF-16, as PowerShell writes it: save it as UTF-8")
  end
  local state, number = { found = {} }, 0
  text = values.without_mark(text):gsub("\r\n?", "\n")
  for line in text:gmatch "([^\n]*)\n?" do
    number = number + 1
    local ok, message, err = read_line(state, path, number, line)
    if not ok then return nil, message, err end
  end
  return state.found
end

--- All profiles of a file.
-- @tparam string path
-- @treturn[1] table settings by profile; empty when there is no file
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  if text then return read_text(path, text) end
  local info, message, code = core.file.stat(path)
  if info == false then return {} end
  return errors.fail(code or "FILE_ERROR", message or ("'%s' cannot be read"):format(path))
end

-- The settings that are meant; empty when there are none.
local function settings_of(args)
  args.endpoint = args.endpoint or {}
  local name = args.profile or env "CCE_PROFILE"
  local path = M.path()
  -- Where the environment or an option says where CCE is, a default is not meant.
  local is_said = args.region or args.endpoint[1] or env "CCE_ENDPOINT" or env "CCE_REGION"
  if not name and is_said then return {} end
  local profiles, message, err = M.read(path)
  if not profiles then return nil, message, err end
  if not name or profiles[name] then return profiles[name or "default"] or {} end
  local names = {}
  for each in pairs(profiles) do names[#names + 1] = each end
  table.sort(names)
  return errors.fail("NOT_FOUND", ("there is no profile '%s' in %s"):format(name, path), {
    hint = #names > 0 and "There are: " .. table.concat(names, ", ")
      or ("Write it: [%s], then settings such as region = cn-north-4"):format(name) })
end

-- ---- where keys come from ----------------------------------------------------------

local function expand_home(path)
  return path and (path:gsub("^~/", (env "HOME" or "~") .. "/"))
end

local sources = {
  env = function() return require("cce.credentials").environment() end,
  ["profile-file"] = function(path)
    return require("cce.credentials").profile { path = expand_home(path) }
  end,
  ecs = function() return require("cce.credentials").metadata() end,
  pod = function() return require("cce.credentials").pod_identity() end,
  ["token-file"] = function(path)
    return require("cce.credentials").token_file(expand_home(path))
  end,
  terraform = function() return require("cce.credentials").terraform() end,
  agency = function(text)
    local name, domain = (text or ""):match "^([^@]+)@(.+)$"
    if not name then
      return errors.fail("INVALID_ARGUMENT", "credentials = agency:NAME@DOMAIN names an agency and"
        .. " the account that entrusts it")
    end
    return require("cce.credentials").agency { agency_name = name, domain_name = domain }
  end,
}

local SOURCES = "env, profile-file, profile-file:PATH, ecs, pod, terraform,"
  .. " agency:NAME@DOMAIN, token-file:PATH"

local function set_credentials(opts, text)
  local kind, rest = text:match "^([%w-]+):(.+)$"
  kind = kind or text
  if not sources[kind] or kind == "token-file" and not rest then
    return errors.fail("INVALID_ARGUMENT", "the profile's credentials are of no known kind",
      { hint = "They are one of " .. SOURCES })
  end
  local message, err
  opts.credentials, message, err = sources[kind](rest)
  return opts.credentials and true, message, err
end

-- ---- the options of a client ---------------------------------------------------------

local function words(text)
  local list = {}
  for word in (text or ""):gmatch "[^%s,]+" do list[#list + 1] = word end
  return #list > 0 and list or nil
end

--- Where the profile keeps its schedule.
-- @tparam table args of argparse
-- @treturn[1] string|boolean false: it does not say
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.schedule(args)
  local settings, message, err = settings_of(args)
  if not settings then return nil, message, err end
  return settings.schedule or false
end

local function note_said(args, settings)
  local is_token = not args.token_file and (settings.credentials or ""):find "^token%-file:"
  M.said = { token = is_token and "credentials" or nil,
    project_id = not args.project and settings.project and "project" or nil }
  for _, name in ipairs { "cloud", "region", "ca_file", "audit_log", "timeout" } do
    M.said[name] = not args[name] and settings[name] and name or nil
  end
end

--- The options of `cce.new` for what was typed and for the profile.
-- @tparam table args of argparse
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.client_options(args)
  local settings, message, err = settings_of(args)
  if not settings then return nil, message, err end
  note_said(args, settings)
  -- An address that was typed takes the place of the profile's; so does a region.
  local typed = args.endpoint[1] and args.endpoint
  local endpoints = { cce = typed or not args.region and words(settings.endpoint) or nil,
    iam = words(settings.iam_endpoint), cts = words(settings.cts_endpoint),
    sts = words(settings.sts_endpoint) }
  -- A profile that is named beats the environment. One that is set to nothing leaves
  -- the other to say it.
  local of_profile = expand_home(settings.audit_log)
  local is_named = args.profile or env "CCE_PROFILE"
  local opts = {
    cloud = args.cloud or settings.cloud,
    region = args.region or settings.region,
    endpoints = next(endpoints) and endpoints or nil,
    project_id = args.project or settings.project,
    ca_file = args.ca_file or expand_home(settings.ca_file),
    audit_log = args.audit_log or is_named and of_profile or env "CCE_AUDIT_LOG" or of_profile,
    timeout = args.timeout or tonumber(settings.timeout),
  }
  local source = args.token_file and "token-file:" .. args.token_file or settings.credentials
  if not source then return opts end
  local ok
  ok, message, err = set_credentials(opts, source)
  if not ok then return nil, message, err end
  return opts
end

return M
