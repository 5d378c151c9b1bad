local child = require "spec.support.child"
local clients = require "spec.support.clients"
local endpoints = require "cce.api.endpoints"
local tempdir = require "spec.support.tempdir"

-- Resolved by a process of its own, whose environment is only this.
local function resolve(environment, options, more)
  return child.run(environment or {}, ([[
    local endpoints = require "cce.api.endpoints"
    %s
    local found, message, err = endpoints.resolve(%s, 1)
    if not found then print(err.code .. ": " .. tostring(err)) return end
    for _, service in ipairs { "cce", "iam", "cts", "sts" } do
      print(service .. "=" .. table.concat(found.all[service] or {}, " "))
    end
  ]]):format(more or "", options or "{}"))
end

local function says(lines, ...)
  assert.equal(table.concat(lines, "\n") .. "\n", resolve(...))
end

local function fails(pattern, ...)
  local output = resolve(...)
  assert.matches(pattern, output)
end

describe("the addresses of a region", function()
  it("come from the table", function()
    says({ "cce=https://cce.cn-north-4.myhuaweicloud.com",
      "iam=https://iam.cn-north-4.myhuaweicloud.com",
      "cts=https://cts.cn-north-4.myhuaweicloud.com",
      "sts=https://sts.cn-north-4.myhuaweicloud.com" }, {}, '{ region = "cn-north-4" }')
  end)

  it("are European ones for Europe", function()
    says({ "cce=https://cce.eu-west-101.myhuaweicloud.eu",
      "iam=https://iam.eu-west-101.myhuaweicloud.eu",
      "cts=https://cts.eu-west-101.myhuaweicloud.eu", "sts=" }, { CCE_REGION = "eu-west-101" })
  end)

  it("may be several, of the SDKs' variable", function()
    says({ "cce=https://a.example.com https://b.example.com:8443", "iam=", "cts=", "sts=" },
      { HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4 = "https://a.example.com, b.example.com:8443" },
      '{ region = "cn-north-4" }')
  end)

  it("stay those of the table where only another service is named", function()
    local output = resolve({ HUAWEICLOUD_SDK_REGION_IAM_CN_NORTH_4 = "iam.example.com" },
      '{ region = "cn-north-4" }')
    assert.matches("cce=https://cce%.cn%-north%-4%.myhuaweicloud%.com\n", output)
    assert.matches("iam=https://iam%.example%.com\n", output)
    assert.matches("sts=https://sts%.cn%-north%-4", output)
  end)

  it("make a region known that no table has", function()
    says({ "cce=https://cce.moon.example.com", "iam=", "cts=", "sts=" },
      { HUAWEICLOUD_SDK_REGION_CCE_MOON_1 = "https://cce.moon.example.com" },
      '{ region = "moon-1" }')
    fails("^NO_ENDPOINT: there is no region 'moon%-1'", {}, '{ region = "moon-1" }')
  end)

  it("are looked at, wherever they come from", function()
    fails("^INVALID_ARGUMENT: endpoint \"http://a.example.com\"",
      { HUAWEICLOUD_SDK_REGION_CCE_MOON_1 = "http://a.example.com" }, '{ region = "moon-1" }')
    fails("^INVALID_ARGUMENT: ", {}, '{ endpoints = { cce = { "https://a.example.com", 5 } } }')
    fails("^INVALID_ARGUMENT: endpoints.cce holds no address", {}, '{ endpoints = { cce = {} } }')
  end)
end)

describe("other clouds of the stack", function()
  local clouds = {
    ["Open Telekom Cloud"] = { "https://cce.eu-de.otc.t-systems.com",
      "https://iam.eu-de.otc.t-systems.com" },
    ["Flexible Engine"] = { "https://cce.eu-west-0.prod-cloud-ocb.orange-business.com",
      "https://iam.eu-west-0.prod-cloud-ocb.orange-business.com" },
    ["SberCloud"] = { "https://cce.ru-moscow-1.hc.sbercloud.ru",
      "https://iam.ru-moscow-1.hc.sbercloud.ru" },
  }
  for name, address in pairs(clouds) do
    it("are reached by their endpoints: " .. name, function()
      says({ "cce=" .. address[1], "iam=" .. address[2], "cts=", "sts=" }, {},
        ("{ endpoints = { cce = %q, iam = %q } }"):format(address[1], address[2]))
    end)
  end

  it("never get a default host of Huawei's for what is not named", function()
    says({ "cce=https://cce.example.com", "iam=", "cts=", "sts=" }, {},
      '{ endpoint = "https://cce.example.com" }')
    says({ "cce=https://cce.example.com", "iam=", "cts=", "sts=" }, {},
      '{ endpoint = "https://cce.example.com", region = "cn-north-4" }')
    says({ "cce=https://cce.example.com", "iam=", "cts=", "sts=" },
      { CCE_ENDPOINT = "https://cce.example.com", CCE_REGION = "cn-north-4" })
  end)
end)

describe("the regions file", function()
  local REGIONS = [[
CCE:
  - id: eu-de
    endpoint: https://cce.eu-de.otc.t-systems.com
  - id: twice
    endpoints:
      - https://one.example.com
      - two.example.com
  - id: empty
IAM:
  - id: eu-de
    endpoints: [https://iam.eu-de.otc.t-systems.com]
]]
  local dir, path

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/regions.yaml"
  end)

  after_each(function() tempdir.remove(dir) end)

  local function write(text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end

  local function named() return { HUAWEICLOUD_SDK_REGIONS_FILE = path } end

  it("names addresses", function()
    write(REGIONS)
    says({ "cce=https://cce.eu-de.otc.t-systems.com", "iam=https://iam.eu-de.otc.t-systems.com",
      "cts=", "sts=" }, named(), '{ region = "eu-de" }')
    says({ "cce=https://one.example.com https://two.example.com", "iam=", "cts=", "sts=" },
      named(), '{ region = "twice" }')
  end)

  it("takes the first of several of one region", function()
    write("CCE:\n- {id: eu-de, endpoint: https://first.example.com}\n"
      .. "- {id: eu-de, endpoint: https://second.example.com}\n- {id: eu-de}\n")
    assert.matches("cce=https://first%.example%.com\n", resolve(named(), '{ region = "eu-de" }'))
  end)

  it("counts less than a variable, and more than the table", function()
    write "CCE: [{id: cn-north-4, endpoint: https://file.example.com}]"
    local environment = named()
    assert.matches("cce=https://file%.example%.com\n",
      resolve(environment, '{ region = "cn-north-4" }'))
    environment.HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4 = "https://variable.example.com"
    assert.matches("cce=https://variable%.example%.com\n",
      resolve(environment, '{ region = "cn-north-4" }'))
  end)

  it("is looked for at home, where it may be missing", function()
    assert.matches("cce=https://cce%.cn%-north%-4",
      resolve({ HOME = dir }, '{ region = "cn-north-4" }'))
    assert(os.execute("mkdir " .. dir .. "/.huaweicloud"))
    path = dir .. "/.huaweicloud/regions.yaml"
    write(REGIONS)
    assert.matches("cce=https://cce%.eu%-de%.otc", resolve({ HOME = dir }, '{ region = "eu-de" }'))
  end)

  it("must be there when it is named", function()
    fails("^FILE_ERROR: the regions file .*/regions.yaml: it cannot be read", named(),
      '{ region = "cn-north-4" }')
  end)

  it("says what is wrong with it", function()
    write "CCE: [unclosed"
    fails("^FILE_ERROR: the regions file .*: it is no YAML", named(), '{ region = "eu-de" }')
    write "just a text"
    fails("^FILE_ERROR: .*it holds no table", named(), '{ region = "eu-de" }')
    write(REGIONS)
    fails("^FILE_ERROR: .*CCE region empty has no endpoint", named(), '{ region = "empty" }')
    for _, text in ipairs { "CCE:", "CCE: []", "", "{}" } do
      write(text)
      fails("^NO_ENDPOINT: ", named(), '{ region = "eu-de" }')
    end
    -- What names addresses in another form must not leave the keys to those of the table.
    for text, reason in pairs { ["CCE: 5"] = "CCE is no list of regions",
      ["CCE: {id: cn-north-4, endpoint: https://a.b}"] = "CCE is no list of regions",
      ["CCE: [5]"] = "number 1 of CCE is no region with an id",
      ["IAM: [{id: other}, {endpoint: https://a.b}]"] = "number 2 of IAM is no region with" } do
      write(text)
      fails("^FILE_ERROR: .*" .. reason, named(), '{ region = "cn-north-4" }')
    end
    write "CCE: [{id: eu-de, endpoints: [5]}]"
    fails("has no endpoint", named(), '{ region = "eu-de" }')
  end)

  it("needs lyaml, and says so", function()
    write(REGIONS)
    fails("^MISSING_DEPENDENCY: .*lyaml must be installed%. Install lua%-yaml", named(),
      '{ region = "eu-de" }', 'package.preload["lyaml"] = function() error "not found" end')
  end)
end)

describe("an address that is not known", function()
  local function missing(options, service)
    local found = assert(endpoints.resolve(options, 1))
    return clients.fails("NO_ENDPOINT", endpoints.of(found, service))
  end

  it("is an error that says how to give it", function()
    local err = missing({ endpoint = "https://cce.example.com" }, "iam")
    assert.equal("the address of IAM is not known", err.message)
    assert.matches("HUAWEICLOUD_SDK_IAM_ENDPOINT", err.hint)
    assert.matches("CCE_CTS_ENDPOINT",
      missing({ endpoint = "https://cce.example.com" }, "cts").hint)
  end)

  it("names the regions that have an STS", function()
    local err = missing({ region = "cn-north-1" }, "sts")
    assert.matches("No STS is known in region cn%-north%-1", err.hint)
    assert.matches("cn%-north%-4", err.hint)
    assert.matches("HUAWEICLOUD_SDK_STS_ENDPOINT", err.hint)
  end)

  it("is not so when it is known", function()
    local found = assert(endpoints.resolve({ region = "cn-north-4" }, 1))
    local first, all = endpoints.of(found, "sts")
    assert.equal("https://sts.cn-north-4.myhuaweicloud.com", first)
    assert.same({ first }, all)
  end)
end)
