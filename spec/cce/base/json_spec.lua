local json = require "cce.base.json"

describe("cce.json", function()
  local function round(text)
    return json.encode((assert(json.decode(text))))
  end

  it("keeps empty arrays and empty objects apart", function()
    for _, text in ipairs {
      "[]", "{}", "[[]]", "[{}]", '{"a":[],"b":{}}', '{"a":[[],[1,[]],{}]}', '[null,[],""]',
    } do
      assert.equal(text, round(text))
    end
    assert.equal('{"a":[],"b":[[]]}', round '{ "b" : [\n[ \t\r\n]\t] , "a":[ ] }')
  end)

  it("leaves strings alone that look like empty arrays", function()
    for _, text in ipairs {
      '"[]"', '["[]"]', '{"[]":"[ ]"}', [=["\"[]"]=], [=[["\\",[]]]=], [=["\\\"[]"]=],
    } do
      assert.equal(text, round(text))
    end
  end)

  it("is not deceived by its own marks", function()
    assert.equal('[["empty-array-1"],[]]', round '[["empty-array-1"],[]]')
    assert.equal('[["empty-array-1"],[]]', round [==[[["empty-array-\u0031"],[]]]==])
    assert.equal('[["empty-array-1","x"],[]]', round [==[[["empty-array-\u0031","x"],[]]]==])
    local imitated = {}
    for i = 1, 8 do imitated[i] = ('["empty\\u002darray-%d"]'):format(i) end
    local text = ("[%s,[]]"):format(table.concat(imitated, ",", 1, 7))
    assert.equal((text:gsub("\\u002d", "-")), round(text))
    text = ("[%s,[]]"):format(table.concat(imitated, ","))
    assert.same({ nil, "the text imitates the marks of its empty arrays", false },
      { json.decode(text) })
  end)

  it("keeps null, nesting and unknown fields", function()
    local text = '{"a":null,"b":[null,{"c":{"d":[true,false]}}],"e":"\\u0000\\n\195\164"}'
    assert.equal(text, round(text))
    assert.equal(json.null, json.decode('{"a":null}').a)
  end)

  it("writes numbers as short as they can be read again", function()
    for _, text in ipairs {
      "0", "-1", "1.5", "0.1", "9007199254740991", "-9007199254740991", "1e+300",
    } do
      assert.equal("[" .. text .. "]", round("[" .. text .. "]"))
    end
    assert.equal("[5]", json.encode { 5.0 })
    local third = 1 / 3
    assert.equal(third, json.decode(json.encode { third })[1])
  end)

  it("does not escape slashes", function()
    assert.equal('"https://a/\\\\/b"', json.encode("https://a/\\/b"))
    assert.equal('{"a/b":1}', json.encode { ["a/b"] = 1 })
  end)

  it("writes for people: two spaces, sorted, and a line feed", function()
    assert.equal([[
{
  "a": [
    1,
    {}
  ],
  "b": [],
  "c": "x"
}
]], json.encode(json.decode '{"c":"x","b":[],"a":[1,{}]}', { pretty = true }))
    assert.equal("[]\n", json.encode(json.array(), { pretty = true }))
  end)

  it("says what is wrong, and whether the text was cut off", function()
    local text = '{"a":[{"b":"c\\n"},[],1.5,null,true],"d":{}}'
    for length = 0, #text - 1 do
      local value, message = json.decode(text:sub(1, length))
      assert.is_nil(value)
      assert.equal("string", type(message))
      assert.is_nil(message:find("T_", 1, true))
    end
    assert.is_true(select(3, json.decode(text:sub(1, 20))))
    assert.is_true(select(3, json.decode '{"a":"b'))
    assert.is_false(select(3, json.decode '{"a":]'))
    local _, message = json.decode '[[],[],x]'
    assert.truthy(message:find("at character 8", 1, true), message)
  end)

  it("refuses what is not JSON though lua-cjson reads it", function()
    for _, text in ipairs { "{}\0", "[NaN]", "[Infinity]", "[0x10]", "[1,]", "{'a':1}", "[] []",
      "" } do
      assert.is_nil((json.decode(text)))
    end
    assert.is_nil((json.decode(nil)))
    assert.is_nil((json.decode({})))
  end)

  it("has a limit of depth", function()
    assert.truthy(json.decode(("["):rep(900) .. ("]"):rep(900)))
    assert.is_nil((json.decode(("["):rep(1100) .. ("]"):rep(1100))))
    assert.is_nil((json.decode(("["):rep(200000))))
  end)

  it("refuses data that has no JSON, and never raises", function()
    local circle = {}
    circle.circle = circle
    for _, data in ipairs {
      { print }, { 0 / 0 }, { math.huge }, circle, { [1] = 1, a = 2 }, { [1.5] = 1 },
      { [true] = 1 }, { coroutine.create(function() end) },
    } do
      local text, message = json.encode(data)
      assert.is_nil(text)
      assert.equal("string", type(message))
    end
    assert.is_nil((json.encode(nil)))
  end)

  it("marks arrays of the caller", function()
    assert.equal('{"list":[],"other":{}}', json.encode { list = json.array(), other = {} })
    assert.equal("[1]", json.encode(json.array { 1 }))
  end)

  it("reads large texts in a time that grows with their size only", function()
    -- In one that grew with its square it took days.
    local text = '{"a":"' .. ("x"):rep(4000000) .. '","b":[' .. ("[],"):rep(20000) .. "[]]}"
    assert.equal(20001, #json.decode(text).b)
  end)
end)
