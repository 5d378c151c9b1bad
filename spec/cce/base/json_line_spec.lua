local core = require "cce.core"
local json_line = require "cce.base.json_line"

describe("cce.record", function()
  it("writes the fields in order, those of no order behind, on one line", function()
    local line = json_line.encode({ b = 1, a = "x\ny", z = true, c = "\"" },
      { "b", "missing", "a" })
    assert.equal('{"b":1,"a":"x\\ny","c":"\\"","z":true}', line)
    assert.same({ a = "x\ny", b = 1, c = "\"", z = true }, core.json.decode(line))
  end)

  local function lines_of(text)
    local file = assert(io.tmpfile())
    file:write(text)
    file:seek "set"
    local list = {}
    for line in json_line.lines(file) do list[#list + 1] = line end
    file:close()
    return list
  end

  it("reads lines as Lua does", function()
    for _, size in ipairs { 0, 1, 65535, 65536, 65537, 200000 } do
      local long = ("x"):rep(size)
      for _, text in ipairs { long, long .. "\n", "\n" .. long .. "\n\n" .. long,
        long .. "\n" .. long .. "\n" } do
        local file, list = assert(io.tmpfile()), {}
        file:write(text)
        file:seek "set"
        for line in file:lines() do list[#list + 1] = line end
        file:close()
        assert.same(list, lines_of(text))
      end
    end
  end)

  it("reads no more of a line that has no end", function()
    local file, list = assert(io.open("/dev/zero", "rb")), {}
    for line in json_line.lines(file) do list[#list + 1] = line end
    file:close()
    assert.equal(1, #list)
    assert.is_true(#list[1] < 2 * 1024 * 1024)
  end)

  it("opens no directory", function()
    local file, message, err = json_line.open "/"
    assert.is_nil(file)
    assert.equal("cannot read '/': Is a directory", message)
    assert.equal("FILE_ERROR", err.code)
  end)

  it("never makes the same id twice", function()
    local seen = {}
    for _ = 1, 1000 do
      local id = json_line.new_id()
      assert.matches("^%x+$", id)
      assert.equal(16, #id)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)
end)
