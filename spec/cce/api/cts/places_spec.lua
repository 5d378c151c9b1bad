local places = require "cce.api.cts.places"

describe("the places of CTS", function()
  it("have an address in another region of Huawei Cloud only", function()
    assert.equal("https://cts.ap-southeast-1.myhuaweicloud.com",
      places.address_in("https://cts.af-south-1.myhuaweicloud.com", "ap-southeast-1"))
    for _, address in ipairs { "https://127.0.0.3:4711", "https://cts.example.com",
      "https://cts.eu-de.otc.t-systems.com", "https://cts.x.myhuaweicloud.com.evil.example" } do
      assert.equal(address, places.address_in(address, "ap-southeast-1"))
    end
  end)
end)
