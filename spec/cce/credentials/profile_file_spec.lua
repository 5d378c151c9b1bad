-- The judge is Python's configparser, by which the official SDK reads these files: what it
-- takes for the key that is meant is taken, and everything else is refused, with its line.
local cce = require "cce"
local core = require "cce.core"
local json = require "cce.base.json"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

local AK, SK = "AKEXAMPLE0000000000", "sk/EXAMPLE+0000=="

local READ = [[
import configparser, json, sys
for path in sys.argv[1:]:
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
        section = parser["basic"]
        print(json.dumps({"ak": section.get("ak"), "sk": section.get("sk")}))
    except (configparser.Error, KeyError, UnicodeDecodeError):
        print("null")
]]

local PAIR = "ak = " .. AK .. "\nsk = " .. SK .. "\n"

-- name, text, the line that we refuse; and why, where Python takes it or we alone do.
local forms = {
  { "as it should be", "[basic]\n" .. PAIR },
  { "with colons", "[basic]\nak: " .. AK .. "\nsk : " .. SK .. "\n" },
  { "without blanks", "[basic]\nak=" .. AK .. "\nsk=" .. SK },
  { "names in upper case", "[basic]\nAK = " .. AK .. "\nSk = " .. SK .. "\n" },
  { "CRLF", (("[basic]\n" .. PAIR):gsub("\n", "\r\n")) },
  { "CR", (("[basic]\n" .. PAIR):gsub("\n", "\r")) },
  { "comments on their own", "# a\n[basic]\n; b\n" .. PAIR .. "  # c\n" },
  { "a comment behind the section", "[basic] # mine\n" .. PAIR },
  { "indented lines", "[basic]\n  ak = " .. AK .. "\n  sk = " .. SK .. "\n" },
  { "indented to the left", "[basic]\n   ak = " .. AK .. "\n  sk = " .. SK .. "\n" },
  { "other sections", "[other]\na = b c\n  d\n[basic]\n" .. PAIR .. "[global]\nak = x\n" },
  { "blank lines between", "[basic]\n\nak = " .. AK .. "\n\n\nsk = " .. SK .. "\n\n" },
  { "a value with = and :", "[basic]\nak = " .. AK .. "\nsk = " .. SK .. "\nother = a=b:c\n" },
  { "a section of another case", "[Basic]\n" .. PAIR, "no keys" },
  { "no section", PAIR, 1 },
  { "a line without a value", "[basic]\n" .. PAIR .. "oops\n", 4 },
  { "a name twice", "[basic]\n" .. PAIR .. "AK = other\n", 4 },
  { "a section twice", "[basic]\nak = " .. AK .. "\n[basic]\nsk = " .. SK .. "\n", 3 },
  { "an empty section name", "[]\n" .. PAIR, 1 },
  { "no name", "[basic]\n= x\n" .. PAIR, 2 },
  { "a section that is not closed", "[basic\n" .. PAIR, 1 },
  { "a byte order mark", "\239\187\191[basic]\n" .. PAIR, nil, "Windows' editors put it there" },
  { "blanks in the section", "[ basic ]\n" .. PAIR, nil, "nothing else can be meant" },
  { "quotes", '[basic]\nak = "' .. AK .. '"\nsk = ' .. SK .. "\n", 2, "they would be sent" },
  { "single quotes", "[basic]\nak = " .. AK .. "\nsk = '" .. SK .. "'\n", 3,
    "they would be sent" },
  { "a comment behind a value", "[basic]\nak = " .. AK .. " # mine\nsk = " .. SK .. "\n", 2,
    "it would be sent" },
  { "a semicolon behind a value", "[basic]\nak = " .. AK .. "\nsk = " .. SK .. " ; mine\n", 3,
    "it would be sent" },
  { "a value that goes on", "[basic]\nak = " .. AK .. "\n  sk = " .. SK .. "\n", 3,
    "the second line would be a part of the first value" },
  { "a value on the next line", "[basic]\nak =\n  " .. AK .. "\nsk = " .. SK .. "\n", 3,
    "it would begin with a line feed" },
  { "a blank that does not break", "[basic]\nak = " .. AK .. "\194\160\nsk = " .. SK .. "\n", 2,
    "Python strips it, the other SDKs do not" },
  { "such a blank before a name", "[basic]\n\194\160ak = " .. AK .. "\nsk = " .. SK .. "\n", 2,
    "Python strips it, the other SDKs do not" },
  { "such a blank before the next line", "[basic]\n" .. PAIR .. "\226\128\175mine = x\n", 4,
    "Python takes the line for a part of the value" },
  { "a form feed behind a name", "[basic]\nak\f = " .. AK .. "\nsk = " .. SK .. "\n", 2,
    "Python strips it, the other SDKs do not" },
  { "a character without width", "[basic]\nak = " .. AK .. "\nsk = " .. SK .. "\226\128\139\n",
    3, "it would be sent" },
  { "a reference to another value", "[basic]\nmine = " .. AK .. "\nak = %(mine)s\nsk = " .. SK
    .. "\n", 3, "Python puts the other value there" },
  { "UTF-16", "\255\254" .. (("[basic]\n" .. PAIR):gsub(".", "%0\0")), 1 },
  { "keys of [DEFAULT]", "[DEFAULT]\n" .. PAIR .. "[basic]\nproject_id = p\n" },
  { "keys of a [DEFAULT] below", "[basic]\n[DEFAULT]\n" .. PAIR },
  { "one key of [DEFAULT]", "[DEFAULT]\nak: " .. AK .. "\n[basic]\nsk = " .. SK .. "\n" },
  { "keys that stand before [DEFAULT]'s", "[DEFAULT]\nak = x\nsk = y\n[basic]\n" .. PAIR },
  { "[DEFAULT] in two parts",
    "[DEFAULT]\nak = " .. AK .. "\n[DEFAULT]\nsk = " .. SK .. "\n[basic]\n" },
  { "a name twice in two parts of [DEFAULT]",
    "[DEFAULT]\n" .. PAIR .. "[DEFAULT]\nak = x\n[basic]\n", 5 },
  { "[DEFAULT] alone", "[DEFAULT]\n" .. PAIR, "no keys" },
  { "[default] in small letters", "[default]\n" .. PAIR .. "[basic]\n", "no keys" },
  { "an empty key before [DEFAULT]'s", "[DEFAULT]\n" .. PAIR .. "[basic]\nak =\nsk =\n",
    "no keys" },
  { "quotes in [DEFAULT]", "[DEFAULT]\nak = '" .. AK .. "'\nsk = " .. SK .. "\n[basic]\n", 2,
    "they would be sent" },
  { "a percent sign", "[basic]\nak = " .. AK .. "%\nsk = " .. SK .. "\n", 2 },
  { "two percent signs", "[basic]\nak = " .. AK .. "%%\nsk = " .. SK .. "\n", 2 },
  { "a reference to [DEFAULT]", "[DEFAULT]\nmine = " .. AK .. "\n[basic]\nak = %(mine)s\nsk = "
    .. SK .. "\n", 4, "Python puts the other value there" },
  { "a bracket in a comment", "[basic] # [mine]\n" .. PAIR, 1,
    "versions of Python take another name from it" },
}

describe("a key file", function()
  local dir, path

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/credentials"
  end)

  after_each(function() tempdir.remove(dir) end)

  local function write(text)
    tempdir.write(path, text)
    os.execute("chmod 600 " .. path)
  end

  -- As the provider does: the whole, then the section.
  local function ours()
    local text = assert(core.secret_from_private_file(path))
    local ok, message = text:check_ini()
    if ok then ok, message = text:check_ini "basic" end
    if not ok then return nil, message end
    local found = { ak = text:text("ini", "basic", "ak"), sk = text:text("ini", "basic", "sk") }
    return next(found) and found or nil, "no keys"
  end

  local has_python = simulator.has_program "python3"
  local theirs_of = {}

  -- What Python takes from each form: one process for all.
  setup(function()
    if not has_python then return end
    local place, paths, count = tempdir.new(), {}, 0
    tempdir.write(place .. "/read.py", READ)
    for i, form in ipairs(forms) do
      paths[i] = place .. "/" .. i
      tempdir.write(paths[i], form[2])
    end
    local output = tempdir.check(("python3 %s/read.py %s"):format(place,
      table.concat(paths, " ")))
    tempdir.remove(place)
    for line in output:gmatch "[^\n]+" do
      count = count + 1
      local found = assert(json.decode(line))
      theirs_of[forms[count]] = found ~= json.null and found or nil
    end
    assert(count == #forms, output)
  end)

  for _, form in ipairs(forms) do
    it("is read " .. form[1], function()
      write(form[2])
      local found, message = ours()
      if form[3] then
        assert.is_nil(found)
        local expected = form[3] == "no keys" and "no keys" or "line " .. form[3] .. ": "
        assert.equal(expected, message:sub(1, #expected))
        assert.is_nil(message:find("EXAMPLE", 1, true))
      else
        assert.same({ ak = AK, sk = SK }, found, message)
      end
      if not has_python then return end
      local theirs = theirs_of[form]
      local sends_right = theirs and theirs.ak == AK and theirs.sk == SK or false
      if form[4] and not form[3] then
        assert.is_false(sends_right)
      elseif sends_right and not form[4] then
        assert.is_table(found)
      elseif not sends_right then
        assert.is_nil(found)
      end
    end)
  end

  it("that cannot be understood ends the search, and names its line", function()
    write("[basic]\nak = " .. AK .. "\nsk = \"" .. SK .. "\"\n")
    local client, _, err = cce.new { region = "cn-north-4", project_id = ("0"):rep(32),
      credentials = cce.credentials.profile { path = path } }
    if client then _, _, err = client:list_clusters() end
    assert.equal("NO_CREDENTIALS", err.code)
    assert.matches(path .. ", line 3: the value is in quotes", err.message, 1, true)
  end)

  it("of any content neither crashes nor hangs", function()
    math.randomseed(20261129)
    local pieces = { "[", "]", "basic", "ak", "sk", "=", ":", "\n", "\r", " ", "\t", "#", ";", "x",
      '"', "\0", "\255", "\239\187\191" }
    local refused = 0
    for _ = 1, 3000 do
      local parts = {}
      for i = 1, math.random(0, 30) do parts[i] = pieces[math.random(#pieces)] end
      local secret = core.secret(table.concat(parts))
      if secret then
        if not secret:check_ini "basic" then refused = refused + 1 end
        secret:text("ini", "basic", "ak")
        secret:close()
      end
    end
    assert.is_true(refused > 1000)
  end)
end)
