local width = require "cce.text.width"

describe("cce.width", function()
  it("counts columns, not bytes", function()
    assert.equal(0, width.of "")
    assert.equal(3, width.of "abc")
    assert.equal(3, width.of "für")
    assert.equal(4, width.of "集群")
    assert.equal(1, width.of "…")
    assert.equal(2, width.of "🔑")
    assert.equal(1, width.of "e\204\129") -- e and a combining acute accent
    assert.equal(2, width.of "각") -- one syllable, and
    assert.equal(2, width.of "\225\132\128\225\133\161") -- the same kind of two parts
    assert.equal(1, width.of "Ж")
  end)

  -- wcwidth of the C library knows Unicode by itself.
  it("agrees with the C library's terminal width", function()
    local points = { 0x41, 0xE9, 0x301, 0x416, 0x5D0, 0x5B0, 0x1100, 0x200B, 0x20AC, 0x2026, 0x3042,
      0x4E2D, 0xAC00, 0xFF21, 0xFF71, 0x1F511, 0x1F600, 0x20000 }
    local program = ([[
import ctypes, locale, sys
locale.setlocale(locale.LC_ALL, "C.UTF-8")
libc = ctypes.CDLL(None)
print(" ".join(str(libc.wcwidth(ctypes.c_wchar(chr(int(p))))) for p in sys.argv[1:]))]])
    local pipe = io.popen("python3 -c '" .. program .. "' " .. table.concat(points, " "))
    local told = pipe:read "*l"
    pipe:close()
    if not told then return pending "needs python3" end
    local ours = {}
    for i, point in ipairs(points) do
      local text = point < 0x80 and string.char(point)
        or point < 0x800 and string.char(192 + math.floor(point / 64), 128 + point % 64)
        or point < 0x10000 and string.char(224 + math.floor(point / 4096),
          128 + math.floor(point / 64) % 64, 128 + point % 64)
        or string.char(240 + math.floor(point / 262144), 128 + math.floor(point / 4096) % 64,
          128 + math.floor(point / 64) % 64, 128 + point % 64)
      ours[i] = width.of(text)
    end
    assert.equal(told, table.concat(ours, " "))
  end)

  it("cuts between characters, and never takes more than there is room", function()
    assert.equal("ab", width.cut("abc", 2))
    assert.equal("für", width.cut("für", 3))
    assert.equal("集", width.cut("集群", 3))
    assert.equal("", width.cut("集群", 1))
    assert.equal("abc", width.cut("abc", 10))
    assert.equal("\27[31mab\27[0m", width.cut("\27[31mabc\27[0m", 2))
  end)

  it("wraps at blanks, and leaves long words whole", function()
    assert.same({ "one two", "three" }, width.wrap("one two three", 8))
    assert.same({ "a", "longerword", "b" }, width.wrap("a longerword b", 5))
    assert.same({}, width.wrap("", 5))
  end)

  it("folds lines that are too long, and goes on further in", function()
    assert.equal("one two\n  three\n\n  a  b\n  four\n    five",
      width.fold("one two three\n\n  a  b\n  four five", 9))
    assert.equal("one two three", width.fold("one two three", nil))
  end)

  it("leaves nothing that steers a terminal", function()
    assert.equal("a?[2Jb\nc??", width.clean "a\27[2Jb\nc\r\194\155")
    assert.equal("a?b", width.clean_line "a\nb")
    assert.equal("-", width.clean_line(nil, "-"))
  end)
end)
