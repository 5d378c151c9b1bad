local core = require "cce.core"
local pki = require "spec.support.peer.pki"

describe("core.to_base64 and core.from_base64", function()
  local all = {}
  for byte = 0, 255 do all[#all + 1] = string.char(byte) end
  all = table.concat(all)

  it("agree with another implementation, at every length, zero bytes included", function()
    for length = 0, #all do
      local bytes = all:sub(1, length)
      local text = core.to_base64(bytes)
      assert.equal(pki.base64(bytes), text)
      assert.equal(bytes, core.from_base64(text))
    end
  end)

  it("say what is wrong with a text, without a piece of it", function()
    for _, text in ipairs { "Zg=", "Zg", "Z", "Zh==", "Zm9v!", "====", "Zg==Zg==" } do
      local bytes, message, code = core.from_base64(text)
      assert.is_nil(bytes, text)
      assert.equal("INVALID_ARGUMENT", code)
      assert.is_nil(message:find(text, 1, true))
    end
  end)

  it("take strings only", function()
    assert.has_error(function() core.to_base64() end)
    assert.has_error(function() core.to_base64 {} end)
    assert.has_error(function() core.from_base64(true) end)
  end)
end)

describe("core.json", function()
  it("takes no number that JSON does not have", function()
    for _, text in ipairs { "NaN", "nan", "Infinity", "-inf", "0x10", "+1", "01" } do
      assert.is_nil(core.json.decode(text), text)
      assert.is_nil(core.json.decode('{"a":' .. text .. "}"), text)
    end
    assert.equal(-1.5, core.json.decode "-1.5")
  end)
end)
