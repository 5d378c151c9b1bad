--- `cce configure`: a profile and a file of keys, asked for one by one.
-- @module cce.cli.command.tool.configure
-- @local
local clouds = require "cce.api.cloud"
local core = require "cce.core"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local exit = require "cce.cli.exit"
local own_file = require "cce.cli.output.own_file"
local profiles = require "cce.cli.input.profile"
local region = require "cce.region"
local values = require "cce.base.values"

local M = { name = "configure", summary = "Set up a profile: region, keys and a check of both." }

function M.describe(parser)
  parser:epilog("Writes [default], or the profile that --profile names, into ~/.config/cce/config,"
    .. " and the keys into a file of their own in ~/.huaweicloud, mode 0600. What is there already"
    .. " stays, unless it is typed anew. It needs a terminal: a script writes the two files itself,"
    .. " see cce help files.")
end

local function ask_region(ui, known, cloud)
  local names = clouds.regions(cloud) or region.names()
  ui:say("Regions: " .. table.concat(names, " "))
  while true do
    local typed = ui:read(("Region%s: "):format(known and " [" .. known .. "]" or ""))
    if not typed then return nil end
    if typed == "" and known then return known end
    local fitting = {}
    for _, each in ipairs(names) do
      if each == typed then return each end
      if typed ~= "" and each:sub(1, #typed) == typed then fitting[#fitting + 1] = each end
    end
    if #fitting == 1 then return fitting[1] end
    ui:say(#fitting > 1 and "that could be " .. table.concat(fitting, ", ")
      or ("'%s' is no region that is known here; another cloud: --cloud and --region")
        :format(typed))
  end
end

-- Characters that an access key never has would be a slip of the mouse.
local function ask_keys(ui)
  local ak = ui:read "Access key (AK): "
  if not ak or ak == "" then return nil end
  local sk = ui:read("Secret key (SK), not shown: ", true)
  if not sk or sk == "" then
    return errors.fail("INVALID_ARGUMENT", "an access key without its secret key: nothing was"
      .. " written")
  end
  if (ak .. sk):find "[^\33-\126]" then
    return errors.fail("INVALID_ARGUMENT", "a key holds a blank or another character that keys do"
      .. " not have: nothing was written")
  end
  return { ak = ak, sk = sk }
end

-- Write a file that only its owner can read, in a directory that is made where it is missing.
local function write(path, text)
  local ok, message, err = directories.make(path:match "^(.*)/")
  if not ok then return nil, message, err end
  local code
  ok, message, code = core.file.write(path, text)
  return errors.from_core(ok, message, code)
end

-- Without a byte order mark, and of a file of an old Mac the lines as elsewhere.
local function lines_of(text)
  text = values.without_mark(text)
  return (text:find "\n" and text or text:gsub("\r", "\n")):gmatch "([^\n]*)\n?"
end

-- A file of settings with those of one section replaced, every other line as it was. One
-- without a value is removed.
local function with_profile(text, name, settings)
  local lines, inside, written = {}, false, false
  local function add_settings()
    for _, setting in ipairs(settings) do
      if setting[2] then lines[#lines + 1] = setting[1] .. " = " .. setting[2] end
    end
    written = true
  end
  for line in lines_of(text) do
    local kind, found = profiles.line(line)
    local is_replaced = false
    for _, setting in ipairs(inside and kind == "setting" and settings or {}) do
      is_replaced = is_replaced or setting[1] == found
    end
    if not is_replaced then lines[#lines + 1] = line end
    if kind == "section" then
      inside = found == name
      if inside then add_settings() end
    end
  end
  while lines[#lines] == "" do lines[#lines] = nil end
  if not written then
    if #lines > 0 then lines[#lines + 1] = "" end
    lines[#lines + 1] = "[" .. name .. "]"
    add_settings()
  end
  return table.concat(lines, "\n") .. "\n"
end

local function is_settings(text)
  local secret = core.secret(text)
  local is_file_of_keys = secret:check_ini() == true
  secret:close()
  return is_file_of_keys
end

-- A token belongs to the keys that it came with.
local function write_keys(path, keys)
  local ok, message, err = own_file.check(path, "file of keys", is_settings)
  if not ok then return nil, message, err end
  return write(path, with_profile(core.file.read(path) or "", "basic", {
    { "ak", keys.ak }, { "sk", keys.sk }, { "security_token" } }))
end

function M.run(args, ui)
  if not ui:is_interactive() then
    return ui:usage "this asks questions, and there is no terminal to ask them at"
  end
  local name, file = args.profile or os.getenv "CCE_PROFILE" or "default", profiles.path()
  if name:find "[^%w._-]" then
    return ui:usage("a profile's name has letters, digits, '.', '_' and '-' only")
  end
  local found, message, err = profiles.read(file)
  local ok = found
  if ok and args.cloud then ok, message, err = clouds.is(args.cloud) end
  if not ok then return ui:fail(message, err) end
  local chosen = args.region or ask_region(ui, (found[name] or {}).region, args.cloud)
  if not chosen then return exit.FAILED end
  -- The keys of the default profile lie where the official SDKs look.
  local home = os.getenv "HOME" or "."
  local path = home .. "/.huaweicloud/" .. (name == "default" and "credentials" or name)
  local has_keys = core.file.stat(path) and true
  if has_keys then ui:say(("keys are in %s; Enter keeps them"):format(path)) end
  local keys
  keys, message, err = ask_keys(ui)
  if err then return ui:fail(message, err) end
  if keys then
    ok, message, err = write_keys(path, keys)
  end
  if not ok then return ui:fail(message, err) end
  if not keys and not has_keys then
    ui:warn "no keys were given: nothing was written"
    return exit.FAILED
  end
  local settings = { { "region", chosen },
    { "credentials", name == "default" and "profile-file"
      or "profile-file:" .. path:gsub("^" .. home:gsub("%p", "%%%0") .. "/", "~/") } }
  if args.cloud then table.insert(settings, 1, { "cloud", args.cloud }) end
  ok, message, err = write(file, with_profile(core.file.read(file) or "", name, settings))
  if not ok then return ui:fail(message, err) end
  ui:say(("wrote [%s] in %s%s"):format(name, file, keys and " and keys in " .. path or ""))
  args.region, args.profile = nil, name
  return require("cce.cli.command.tool.doctor").run(args, ui)
end

M.with_profile = with_profile

return M
