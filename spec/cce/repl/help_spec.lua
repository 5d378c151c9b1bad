local cce = require "cce"
local help = require "cce.repl.help"
local manual = require "cce.repl.manual"
local tempdir = require "spec.support.tempdir"

-- What the library has for itself: no manual speaks of these.
local OWN = {
  ["cce.client"] = { new = true, now = true, set_clock = true, emit = true, engine = true,
    wait_for_turn = true, view = true },
  ["cce.credentials"] = { of = true },
}

-- nil for a part that this tree lacks.
local function source_of(name)
  local path = "lua/" .. (manual.sources[name] or name):gsub("%.", "/")
  local file = io.open(path .. ".lua") or io.open(path .. "/init.lua")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

-- Names of functions that are marked with @local.
local function internal_names(source)
  local names = {}
  for _, block in ipairs(manual.parse(source)) do
    if block.is_local and block.name then names[block.name:match "([%w_]+)$"] = true end
  end
  return names
end

-- All functions of a module that a user can reach.
local function check_module(name, source, missing)
  local module = require(manual.sources[name] or name)
  local own, internal = OWN[name] or {}, internal_names(source)
  for key, value in pairs(type(module) == "table" and module or { [name] = module }) do
    local is_public = type(value) == "function" and key:sub(1, 1) ~= "_"
      and not own[key] and not internal[key]
    if is_public and not help.text(value) then missing[#missing + 1] = name .. "." .. key end
  end
end

local function check_object(object, missing)
  local meta = getmetatable(object)
  local own = OWN[meta.__name] or {}
  local internal = internal_names(source_of(meta.__name) or "")
  for key, value in pairs(meta.__index) do
    local is_public = type(value) == "function" and key:sub(1, 1) ~= "_"
      and not own[key] and not internal[key]
    if is_public then
      if not help.text(value) then missing[#missing + 1] = meta.__name .. ":" .. key end
    end
  end
end

local function check_schedule(missing)
  if not pcall(require, "luasql.sqlite3") then return end
  local dir = tempdir.new()
  local schedule = assert(cce.schedule.open("sqlite:" .. dir .. "/store"))
  check_object(schedule, missing)
  schedule:close()
  tempdir.remove(dir)
end

describe("help()", function()
  it("has a text for every function of every public module", function()
    local missing = {}
    for _, name in ipairs(manual.modules) do
      local source = source_of(name)
      if source then check_module(name, source, missing) end
    end
    table.sort(missing)
    assert.same({}, missing)
  end)

  it("has a text for every method of the objects that there are", function()
    local missing = {}
    local client = cce.new { region = "cn-north-4", project_id = "p",
      credentials = { ak = "AKEXAMPLE", sk = "not-a-real-key" } }
    check_object(client, missing)
    check_object(cce.signer { ak = "AKEXAMPLE", sk = "not-a-real-key" }, missing)
    check_object(cce.progress(), missing)
    check_object(require("cce.api.job").started "j", missing)
    check_object(require("cce.text.report").new("rotate", 0), missing)
    check_schedule(missing)
    client:close()
    assert.same({}, missing)
  end)

  it("has the methods of reports and kubeconfigs, which are found by name", function()
    for _, name in ipairs { "report:exit_code", "report:counts", "report:to_table",
      "kubeconfig:save", "kubeconfig:use", "kubeconfig:contexts", "kubeconfig:certificate",
      "kubeconfig:rename", "log:close" } do
      assert.truthy(help.text(name), name)
    end
  end)

  it("knows every public module of the sources", function()
    local listed = {}
    for _, name in ipairs(manual.modules) do listed[name] = true end
    local pipe = assert(io.popen "find lua/cce -name '*.lua' | grep -v /sim/ | sort")
    local internal = { ["cce.base.json"] = true, ["cce.base.options"] = true,
      ["cce.openresty"] = true, ["cce.api.endpoints.regions"] = true }
    for path in pipe:lines() do
      local file = assert(io.open(path))
      local about = manual.parse(file:read "*a")[1]
      file:close()
      local name = about and about.module
      local inner = name and (name:find "^cce%.cli" or name:find "^cce%.kubeconfig%."
        or name:find "^cce%.schedule%." or name:find "^cce%.workflow%.%w+%.")
      if name and not about.is_local and not internal[name] and not inner then
        assert.is_true(listed[name] or false, name)
      end
    end
    pipe:close()
  end)

  it("shows the parameters with their types, both returns and the usage", function()
    local text = help.text(cce.ensure_cert)
    assert.truthy(text:find("cce.ensure_cert(client, cluster_id, opts)", 1, true))
    assert.truthy(text:find("min_remaining (number, optional): seconds", 1, true))
    assert.truthy(text:find("returns cce.kubeconfig", 1, true))
    assert.truthy(text:find("or nil", 1, true))
    assert.truthy(text:find("    local kubeconfig, renewed = cce.ensure_cert", 1, true))
  end)

  it("explains a word of cce.codes, a module and an object", function()
    assert.equal("TIMEOUT: " .. cce.codes.TIMEOUT, help.text "TIMEOUT")
    assert.truthy(help.text(cce.workflow):find("cce.report", 1, true))
    local file = assert(io.open "spec/fixtures/pki/client.pem")
    local facts = assert(cce.certificate(file:read "*a"))
    file:close()
    assert.truthy(help.text(facts):find "facts of a certificate")
    assert.truthy(help.text(cce.codes):find "THROTTLED")
  end)

  it("says what can be done when nothing is asked for", function()
    local text = help.text()
    assert.truthy(text:find "bg%(fn")
    assert.truthy(text:find "client:revoke_cert")
  end)

  it("says nothing about what it does not know", function()
    assert.is_nil(help.text "no_such_name")
    assert.is_nil(help.text(function() end))
    assert.is_nil(help.text(12))
  end)
end)
