-- What becomes of a certificate that was obtained and cannot be saved where it was to go. Files
-- are written as told.
local core = require "cce.core"
local destinations = require "cce.kubeconfig.destination"
local directories = require "cce.base.directories"
local errors = require "cce.error"
local kubeconfigs = require "cce.kubeconfig"

describe("a kubeconfig that cannot be saved", function()
  local saved, base, made, failures, calls

  local function replace(module, name, with)
    saved[#saved + 1] = { module, name, module[name] }
    module[name] = with
  end

  before_each(function()
    saved, base, made, failures, calls = {}, "/state", true, {}, {}
    replace(directories, "base", function(name, home)
      assert.same({ "XDG_STATE_HOME", "/.local/state" }, { name, home })
      return base
    end)
    replace(directories, "make", function(path)
      assert.equal("/state/cce/recovered", path)
      return made, "cannot be made"
    end)
  end)

  after_each(function()
    for i = #saved, 1, -1 do saved[i][1][saved[i][2]] = saved[i][3] end
  end)

  local function kubeconfig(id)
    return { cluster_id = id, save = function(_, path, opts)
      calls[#calls + 1] = { path, opts }
      local why = failures[#calls]
      if why then
        return nil, why, errors.new("FILE_ERROR", why, { hint = "h", retryable = true })
      end
      return { path = path }
    end }
  end

  local function save(destination, id)
    destination.path = "/there/file"
    return destinations.save(destination, kubeconfig(id))
  end

  it("is not where it can be", function()
    assert.same({ path = "/there/file" }, save({ name = "prod", format = "yaml" }, "c1"))
    assert.same({ { "/there/file", { trial = false, name = "prod", format = "yaml" } } }, calls)
  end)

  it("is kept where its owner finds it, and the error says where and why", function()
    failures = { "disk full" }
    local none, message, err = save({ name = "prod" }, "c1")
    assert.is_nil(none)
    assert.matches("^/state/cce/recovered/c1%-%x+%.json$", calls[2][1])
    assert.same({ name = "prod", mark = true }, calls[2][2])
    assert.equal("disk full; the certificate that was obtained is kept in '" .. calls[2][1] .. "'",
      message)
    assert.same({ "FILE_ERROR", message, calls[2][1], "h", true },
      { err.code, err.message, err.recovered, err.hint, err.retryable })
    calls, failures = {}, { "disk full" }
    save({}, nil)
    assert.matches("^/state/cce/recovered/cluster%-%x+%.json$", calls[2][1])
    assert.same({ mark = false }, calls[2][2])
  end)

  it("is lost where nothing can be kept, which is said", function()
    for why, prepare in pairs {
      ["full, too"] = function() failures[2] = "full, too" end,
      ["cannot be made"] = function() made = nil end,
      ["neither XDG_STATE_HOME nor HOME says where to keep it"] = function() base = nil end,
    } do
      base, made, calls, failures = "/state", true, {}, { "disk full" }
      prepare()
      local none, message, err = save({}, "c1")
      assert.is_nil(none)
      assert.equal("disk full; the certificate that was obtained is lost: " .. why, message)
      assert.same({ "FILE_ERROR", nil, "h" }, { err.code, err.recovered, err.hint })
    end
  end)

  it("is proved before, with the keys that it will have", function()
    local has_key, commands, client = nil, {}, {}
    replace(kubeconfigs, "parse", function(text)
      has_key = text:find("client-key-data", 1, true) ~= nil
      local config = kubeconfig "c1"
      function config.with_command(self, opts)
        commands[#commands + 1] = opts or "none"
        return self
      end
      return config
    end)
    assert(destinations.prove({ path = "/there/file", merge = true }, { id = "c1" }, client))
    assert.same({ true, { { "/there/file", { trial = true, merge = true } } }, {} },
      { has_key, calls, commands })
    assert(destinations.prove({ path = "/there/file", command = { args = {} } }, { id = "c1" },
      client))
    assert.same({ { args = {} } }, commands)
    -- What is wrong whichever addresses the cluster has needs none of them.
    failures = { nil, nil, "disk full" }
    assert.equal("disk full", (select(2, destinations.prove({ path = "/x" }, { id = "c1" },
      client))))
    assert.equal(3, #calls)
  end)

  it("is proved with the cluster's addresses, which are asked for where they decide", function()
    local tried, asked, answer = {}, 0, nil
    replace(kubeconfigs, "parse", function(text)
      local servers = {}
      for server in text:gmatch '"server": *"([^"]+)"' do servers[#servers + 1] = server end
      servers[#servers + 1] = text:match '"current%-context": *"([^"]+)"'
      tried[#tried + 1] = table.concat(servers, " ")
      return kubeconfig "c1"
    end)
    local client = { show_cluster = function(_, id)
      asked = asked + 1
      assert.equal("c1", id)
      return answer
    end }
    local function with(...)
      local endpoints = {}
      for i, type in ipairs { ... } do endpoints[i] = { type = type, url = "https://" .. type } end
      return { raw = { status = { endpoints = endpoints } } }
    end
    local NONE = ("https://unknown.invalid "):rep(3) .. "externalTLSVerify"
    local BOTH = "https://Internal https://External https://External externalTLSVerify"
    local INTERNAL = "https://Internal internal"
    for _, row in ipairs {
      -- What is known of the cluster, what it answers, who asks it, what is tried.
      { with("Internal", "External"), with "Internal", client, { BOTH } },
      { nil, with("External", "Internal"), client, { NONE, BOTH } },
      { nil, with "Internal", client, { NONE, INTERNAL } },
      { nil, nil, client, { NONE } }, { nil, with(), client, { NONE } },
      { nil, with "Internal", nil, { NONE } },
    } do
      tried, asked, answer = {}, 0, row[2]
      assert(destinations.prove({ path = "/x", context = "external" }, { id = "c1",
        cluster = row[1] }, row[3]))
      assert.same(row[4], tried)
      assert.equal((row[1] or not row[3]) and 0 or 1, asked)
    end
  end)

  it("is of no use without a key", function()
    failures = { "disk full" }
    local none, message, err = save({ command = {} }, "c1")
    assert.same({ nil, "disk full", "FILE_ERROR" }, { none, message, err.code })
    assert.equal(1, #calls)
    err = select(3, destinations.prove({ path = "/x", command = { api_version = "v2" } },
      { id = "c1" }))
    assert.equal("INVALID_ARGUMENT", err.code)
  end)

  it("can be kept later, as far as that can be told before", function()
    local there = { ["/state"] = {}, ["."] = {}, ["/"] = {} }
    replace(core.file, "stat", function(path)
      if path == "/closed" then return nil, "cannot look", "FILE_ERROR" end
      return there[path] or false
    end)
    local tried
    replace(core.file, "write", function(path, text, opts)
      tried = { path, #text, opts.trial }
      return made, "read-only", "FILE_ERROR"
    end)
    assert.is_nil(destinations.recovery_problem())
    assert.same({ "/state/kubeconfig.trial", 7200, true }, tried)
    for directory, nearest in pairs { ["/none/at/"] = "", ["/"] = "", ["none/at"] = ".",
      ["/state/x//"] = "/state" } do
      assert(destinations.prove_directory(directory))
      assert.equal(nearest .. "/kubeconfig.trial", tried[1])
    end
    assert.equal("cannot look", select(2, destinations.prove_directory "/closed/x"))
    made = nil
    assert.matches("^if it could not be saved after all, it would be lost: .*read%-only",
      destinations.recovery_problem())
    base = nil
    assert.matches("neither XDG_STATE_HOME nor HOME", destinations.recovery_problem())
  end)
end)
