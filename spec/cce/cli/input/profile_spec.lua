local cce = require "cce"
local child = require "spec.support.child"
local json = require "cce.base.json"
local profile = require "cce.cli.input.profile"
local tempdir = dofile "spec/support/tempdir.lua"

local dir

local function write(text)
  tempdir.shell("mkdir -p " .. dir .. "/cce")
  tempdir.write(dir .. "/cce/config", text)
  return dir .. "/cce/config"
end

-- The options of `cce.new` in a process with this environment.
local function options_with(environment, args)
  environment.XDG_CONFIG_HOME = dir
  tempdir.write(dir .. "/args.json", json.encode(args or {}))
  local printed = child.run(environment, ([[
    local json = require "cce.base.json"
    local file = assert(io.open(%q))
    local args = json.decode(file:read "*a")
    local opts, message, err = require("cce.cli.input.profile").client_options(args)
    if not opts then
      print(json.encode { message = message, code = err.code, hint = err.hint })
    else
      if opts.credentials then opts.credentials = opts.credentials.name end
      if opts.token then opts.token = type(opts.token) end
      print(json.encode(opts))
    end
  ]]):format(dir .. "/args.json"))
  return assert(json.decode(printed), printed)
end

describe("a profile", function()
  before_each(function() dir = tempdir.new() end)
  after_each(function() tempdir.remove(dir) end)

  it("is what stands under its name", function()
    local found = assert(profile.read(write [[
# the fleet
[prod]
region = cn-north-4
project = p1
  credentials = profile-file:prod

[test]
endpoint = https://a.example.com, https://b.example.com
ca_file =
]]))
    assert.same({ prod = { region = "cn-north-4", project = "p1",
      credentials = "profile-file:prod" },
      test = { endpoint = "https://a.example.com, https://b.example.com" } }, found)
  end)

  it("is read behind a byte order mark", function()
    assert.equal("r", assert(profile.read(write "\239\187\191[prod]\nregion = r\n")).prod.region)
  end)

  it("is read as hands write it", function()
    local meant = { prod = { region = "cn-north-4", ca_file = "/a b/ü#.pem" } }
    for _, text in ipairs {
      "[prod]\nregion: cn-north-4\nca_file:/a b/ü#.pem\n",
      "[prod]\nRegion=cn-north-4\nCA-File = /a b/ü#.pem",
      "[ prod ] # the fleet\n\tregion = cn-north-4\n\tca_file = /a b/ü#.pem  \n",
      "[prod]\r\nregion = cn-north-4\r\nca_file = /a b/ü#.pem\r\n",
      "[prod]\rregion = cn-north-4\rca_file = /a b/ü#.pem\r",
    } do
      assert.same(meant, assert(profile.read(write(text)), text))
    end
  end)

  it("is refused with its line where it would be read otherwise than it is meant", function()
    for text, expected in pairs {
      ['[a]\nregion = "x"\n'] = ":2: the value is in quotes",
      ["[a]\nregion = 'x'\n"] = ":2: the value is in quotes",
      ["[a]\nregion = x # mine\n"] = ":2: a comment needs a line of its own",
      ["[a]\nregion = x\t; mine\n"] = ":2: a comment needs a line of its own",
      ["[a]\nregion = x\nregion = y\n"] = ":3: 'region' is there twice",
      ["[a]\nca_file = x\nCA-FILE:\n"] = ":3: 'ca_file' is there twice",
      ["[a]\nregion = x\n[b]\n[a]\n"] = ":4: [a] is there twice",
      ["[DEFAULT]\nregion = x\n[a]\n"] = ":1: no profile inherits from [DEFAULT]",
      ["[a]\ntimeout = 10s\n"] = ":2: the timeout is no number",
      ["[a]\ntimeout = 0x10\n"] = ":2: the timeout is no number",
      ["[a]\nendpoint =\n  https://x.example\n"] = ":3: there is no setting",
      ["[a]\nregion = x\0y\n"] = ":2: the value holds a character",
      ["[a]\nregion =\194\160x\n"] = ":2: the value holds a character",
      ["[a]\nregion = x\226\128\139\n"] = ":2: the value holds a character",
      ["[a]\nregion = x\27[31m\n"] = ":2: the value holds a character",
      ["\255\254[\0a\0]\0\n\0"] = ":1: the file is UTF-16",
      ["[a]\noops\n"] = ":2: neither [name] nor setting = value",
    } do
      local found, message = profile.read(write(text))
      assert.is_nil(found, text)
      assert.matches(expected, message, 1, true)
    end
  end)

  it("is none when there is no file", function()
    assert.same({}, profile.read(dir .. "/nowhere"))
  end)

  it("is an error when the file is there and cannot be read", function()
    tempdir.check(("mkdir %s/config; ln -s loop %s/loop"):format(dir, dir))
    for path, expected in pairs { [dir .. "/config"] = "'" .. dir .. "/config' cannot be read",
      [dir .. "/loop"] = "symbolic links", [dir .. "/config/x"] = false } do
      local found, message, err = profile.read(path)
      if expected then
        assert.is_nil(found)
        assert.matches(expected, message, 1, true)
        assert.equal("FILE_ERROR", err.code)
      else
        assert.same({}, found)
      end
    end
  end)

  it("holds no secret, and the error repeats none", function()
    for _, key in ipairs { "sk", "ak", "access_key", "secret_key", "password", "my_password",
      "token", "security_token", "secret", "my_secret_key", "id_token", "private_key", "username",
      "client_key_data" } do
      local found, message, err = profile.read(write("[a]\nregion = x\n" .. key
        .. " = example-value\n"))
      assert.is_nil(found)
      assert.matches(":3: '" .. key .. "' has no place here", message, 1, true)
      assert.is_nil((message .. err.hint):find("example-value", 1, true))
      assert.matches("profile-file", err.hint, 1, true)
    end
  end)

  it("has settings that are known, on lines that can be read", function()
    for text, expected in pairs {
      ["[a]\nregoin = x\n"] = ":2: there is no setting of that name (did you mean 'region'?)",
      ["region = x\n"] = ":1: a setting before the first [name]",
      ["[a]\nnonsense\n"] = ":2: neither [name] nor setting = value",
      ["[a b]\n"] = ":1: neither",
    } do
      local found, message, err = profile.read(write(text))
      assert.is_nil(found)
      assert.matches(expected, message, 1, true)
      assert.equal("INVALID_ARGUMENT", err.code)
    end
  end)

  it("that is named beats the environment, and options beat both", function()
    write "[prod]\nregion = cn-north-4\nproject = p1\nca_file = ~/ca.pem\ntimeout = 9\n"
    local environment = { CCE_PROFILE = "prod", CCE_REGION = "cn-east-3", HOME = "/home/x" }
    local opts = options_with(environment)
    assert.equal("cn-north-4", opts.region)
    assert.equal("p1", opts.project_id)
    assert.equal("/home/x/ca.pem", opts.ca_file)
    assert.equal(9, opts.timeout)
    opts = options_with(environment, { region = "ap-southeast-1", project = "p2" })
    assert.equal("ap-southeast-1", opts.region)
    assert.equal("p2", opts.project_id)
  end)

  it("names the audit log, which the environment and an option may do, too", function()
    write "[prod]\naudit_log = ~/a.log\n[default]\naudit_log = /b.log\nregion = cn-north-4\n"
    local function log_with(environment, args)
      environment.HOME = "/home/x"
      return options_with(environment, args).audit_log
    end
    assert.equal("/b.log", log_with {})
    assert.equal("/c.log", log_with { CCE_AUDIT_LOG = "/c.log" })
    assert.equal("/home/x/a.log", log_with { CCE_PROFILE = "prod", CCE_AUDIT_LOG = "/c.log" })
    assert.equal("/d.log", log_with({ CCE_PROFILE = "prod", CCE_AUDIT_LOG = "/c.log" },
      { audit_log = "/d.log" }))
    assert.is_nil(log_with { CCE_REGION = "cn-north-4" })
    assert.equal("/c.log", log_with { CCE_REGION = "cn-north-4", CCE_AUDIT_LOG = "/c.log" })
    assert.equal("/b.log", log_with { CCE_AUDIT_LOG = "" })
  end)

  it("called default is used only when nothing else says where CCE is", function()
    write "[default]\nregion = cn-north-4\nproject = p1\n"
    assert.equal("p1", options_with({}).project_id)
    assert.is_nil(options_with({ CCE_ENDPOINT = "https://127.0.0.1:9" }).project_id)
    assert.is_nil(options_with({ CCE_REGION = "cn-east-3" }).project_id)
    assert.is_nil(options_with({}, { region = "cn-east-3" }).project_id)
    assert.equal("p1", options_with({ CCE_REGION = "cn-east-3" }, { profile = "default" })
      .project_id)
  end)

  it("names addresses of all services; an option beats that of CCE", function()
    write("[a]\nendpoint = https://a.example.com https://b.example.com\n"
      .. "iam_endpoint = https://iam.example.com\n")
    assert.same({ cce = { "https://a.example.com", "https://b.example.com" },
      iam = { "https://iam.example.com" } }, options_with({ CCE_PROFILE = "a" }).endpoints)
    assert.same({ "https://c.example.com" }, options_with({ CCE_PROFILE = "a" },
      { endpoint = { "https://c.example.com" } }).endpoints.cce)
    assert.is_nil(options_with({ CCE_PROFILE = "a" }, { region = "cn-north-4" }).endpoints.cce)
  end)

  it("that is not there is an error that names the others", function()
    write "[prod]\n[test]\n"
    local answer = options_with({ CCE_PROFILE = "prd" })
    assert.equal("NOT_FOUND", answer.code)
    assert.matches("prod, test", answer.hint, 1, true)
  end)

  it("says where keys come from", function()
    for text, name in pairs { env = "environment", ["profile-file:~/prod"] = "profile",
      terraform = "terraform", ["agency:name@domain"] = "agency" } do
      write("[a]\ncredentials = " .. text .. "\n")
      assert.matches(name, options_with({ CCE_PROFILE = "a" }).credentials, 1, true)
    end
    write "[a]\ncredentials = vault\n"
    assert.matches("token-file:PATH", options_with({ CCE_PROFILE = "a" }).hint, 1, true)
    for _, text in ipairs { "agency", "agency:name", "agency:name@", "agency:@domain" } do
      write("[a]\ncredentials = " .. text .. "\n")
      local answer = options_with { CCE_PROFILE = "a" }
      assert.equal("INVALID_ARGUMENT", answer.code, text)
      assert.matches("agency:NAME@DOMAIN names an agency and the account", answer.message, 1, true)
    end
  end)

  it("may name a file with a token, which only its owner may read", function()
    local path = dir .. "/token"
    tempdir.write(path, "EXAMPLE-TOKEN\n")
    tempdir.shell("chmod 644 " .. path)
    write("[a]\ncredentials = token-file:" .. path .. "\n")
    assert.equal("token file", options_with({ CCE_PROFILE = "a" }).credentials)
    assert.equal("token file", options_with({}, { token_file = path, region = "x" }).credentials)
    local function open()
      return cce.new { endpoint = "http://127.0.0.1:1", project_id = "p", proxy = false,
        credentials = cce.credentials.token_file(path) }
    end
    local _, message = open()
    assert.matches(path, message, 1, true)
    assert.is_nil(message:find("EXAMPLE-TOKEN", 1, true))
    tempdir.shell("chmod 600 " .. path)
    assert(open()):close()
  end)
end)
