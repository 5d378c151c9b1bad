local region = require "cce.region"
local data = require "cce.api.endpoints.regions"

describe("cce.region", function()
  it("knows the endpoints of a region", function()
    assert.same({
      cce = "https://cce.ap-southeast-3.myhuaweicloud.com",
      iam = "https://iam.ap-southeast-3.myhuaweicloud.com",
      sts = "https://sts.ap-southeast-3.myhuaweicloud.com",
    }, region.endpoints "ap-southeast-3")
  end)

  it("has no STS where there is none", function()
    assert.is_nil(region.endpoints("cn-north-1").sts)
  end)

  it("falls back to the global IAM", function()
    for _, name in ipairs {
      "af-north-1", "ap-southeast-5", "cn-north-11", "cn-south-4", "ru-northwest-2",
    } do
      assert.equal("https://iam.myhuaweicloud.com", region.endpoints(name).iam)
    end
  end)

  it("keeps the European cloud's keys in Europe", function()
    assert.same({
      cce = "https://cce.eu-west-101.myhuaweicloud.eu",
      iam = "https://iam.eu-west-101.myhuaweicloud.eu",
    }, region.endpoints "eu-west-101")
  end)

  it("follows one pattern but for one region", function()
    assert.equal(33, #region.names())
    local counts = { cce = 0, iam = 0, sts = 0 }
    for name, row in pairs(data.regions) do
      for service, url in pairs(row) do
        counts[service] = counts[service] + 1
        local domain = name == "eu-west-101" and "eu" or "com"
        assert.equal(("https://%s.%s.myhuaweicloud.%s"):format(service, name, domain), url)
      end
    end
    assert.same({ cce = 33, iam = 28, sts = 12 }, counts)
  end)

  it("names the nearest for one that it does not know", function()
    local found, message, err = region.endpoints "cn-nroth-4"
    assert.is_nil(found)
    assert.equal("NO_ENDPOINT", err.code)
    assert.truthy(message:find("near it are: cn%-north%-4"))
    assert.truthy(select(2, region.endpoints "CN-NORTH-4"):find("cn-north-4", 1, true))
    assert.equal("there is no region 'mars' in the table", select(2, region.endpoints "mars"))
    assert.is_nil((region.endpoints ""))
  end)

  it("gives every caller a table of his own", function()
    region.endpoints("eu-west-0").cce = "changed"
    assert.equal("https://cce.eu-west-0.myhuaweicloud.com", region.endpoints("eu-west-0").cce)
  end)

  it("raises on wrong use", function()
    assert.has_error(function() region.endpoints() end)
    assert.has_error(function() region.endpoints(3) end)
  end)
end)
