-- Run by spec/core/finalizer_spec.lua in a process of its own, whose heap is small:
--   lua finalizer_cases.lua close|change|reuse URL DIRECTORY [LIMIT]
-- Every function of cce.core and every method of its objects, with a finalizer at each point where
-- the call may collect garbage, or at the first LIMIT ones. Prints a line for each that failed, and
-- how many there were.
local core = require "cce.core"
local finalizers = require "spec.support.shared.finalizers"

local mischief = finalizers.mischief[arg[1]]
local url, dir, limit = arg[2], arg[3], tonumber(arg[4])
local DATE = "20260102T030405Z"
local SK, TOKEN = "not-a-real-secret-key-000000000", ("t"):rep(300)

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local pem = read "spec/fixtures/pki/client.pem"
local kubeconfig = read "spec/fixtures/kubeconfig_internal.json"
local profile = dir .. "/profile"
local json = core.json

local cases = {}

-- make() returns the scene: run, closes (objects), tables (what the call reads), done.
local function case(name, make)
  cases[#cases + 1] = { name = name, make = make }
end

local function made(object, message)
  return object or error(tostring(message), 2)
end

-- A call whose arguments are `tables`, each made anew.
local function with_tables(name, make_tables, run)
  case(name, function()
    local tables = make_tables()
    return { tables = tables, run = function() return run(tables) end }
  end)
end

-- How to make an object of each class.
local makers = {}

-- A call on one object.
local function on(name, make, run)
  local class = name:match "^cce%.[%w_.]+"
  if class then makers[class] = makers[class] or make end
  case(name, function()
    local object = made(make())
    return { closes = { object }, run = function() return run(object) end }
  end)
end

-- ---- secrets ----

local INI = "[basic]\nak = EXAMPLE\nsk = not-a-real-secret\n"

local function new_json_secret()
  return core.secret(json.encode { a = ("b"):rep(5000), c = "d" })
end

-- The only way to see what a secret holds: what it signs.
local function seen(secret, ...)
  if secret == nil then return secret, ... end
  local signer = made(core.signer { ak = "EXAMPLE", sk = secret })
  local signature = signer:signature(DATE, "x")
  signer:close()
  secret:close()
  return signature
end

on("core.secret", new_json_secret, function(secret) return seen(core.secret(secret)) end)
on("cce.secret:part", new_json_secret, function(s) return seen(s:part("json", "a")) end)
on("cce.secret:part ini", function() return core.secret(INI) end,
  function(s) return seen(s:part("ini", "basic", "sk")) end)
on("cce.secret:text", new_json_secret, function(s) return s:text("json", "c") end)
on("cce.secret tostring", new_json_secret, tostring)
case("core.secret_from_env", function()
  return { run = function() return seen(core.secret_from_env "PATH") end }
end)
for _, name in ipairs { "secret_from_file", "secret_from_private_file" } do
  case("core." .. name, function()
    return { run = function() return seen(core[name](profile)) end }
  end)
end

-- ---- signatures ----

local function new_signer(changes)
  local options = { ak = "EXAMPLEACCESSKEY0000", sk = SK }
  for key, value in pairs(changes or {}) do options[key] = value end
  return made(core.signer(options))
end

local function request(changes)
  local spec = {
    method = "POST", host = "cce.example.com", path = "/api/v3/a b", body = '{"duration":30}',
    headers = { ["Content-Type"] = "application/json" }, query = { { "a", "b" } }, date = DATE,
  }
  for key, value in pairs(changes or {}) do spec[key] = value end
  return spec
end

local function with_headers(count)
  local headers = {}
  for i = 1, count do headers["X-Header-" .. i] = ("v"):rep(200) .. i end
  return request { headers = headers }
end

local function large(count)
  local query, headers, names = {}, {}, { "x-sdk-date" }
  for i = 1, count do
    query["name" .. i] = { i, "value" .. i, true }
    headers["X-Header-" .. i] = ("v"):rep(2000)
    names[#names + 1] = "x-header-" .. i
  end
  return request { query = query, headers = headers, signed_headers = names }
end

local signers = {
  plain = {}, token = { security_token = TOKEN },
  clock = { clock = function() return 1767323045 end },
  v11 = { algorithm = "V11-HMAC-SHA256", region = "r", service = "s" },
  scoped = { scheme = "scoped", region = "r", service = "s" },
}
local requests = {
  small = request, numbers = function() return request { query = { a = 1, b = { 2, 3, "x" } } } end,
  large = function() return large(40) end,
  headers = function() return with_headers(40) end,
  undated = function() local r = request() r.date = nil return r end,
}

for _, method in ipairs { "sign", "explain", "canonical_request" } do
  for signer_name, options in pairs(signers) do
    for request_name, make_request in pairs(requests) do
      if (request_name == "undated") == (signer_name == "clock") then
        case(("cce.signer:%s %s %s"):format(method, signer_name, request_name), function()
          local signer, spec = new_signer(options), make_request()
          return {
            closes = { signer }, tables = spec,
            run = function() return signer[method](signer, spec) end,
          }
        end)
      end
    end
  end
end
for name, options in pairs(signers) do
  local function template()
    local r = large(20)
    r.path, r.date = "/clusters/{cluster_id}", nil
    return r
  end
  case("cce.signer:prepare " .. name, function()
    local signer, spec = new_signer(options), template()
    return {
      closes = { signer }, tables = spec,
      run = function()
        local prepared, message, code = signer:prepare(spec)
        if prepared == nil then return nil, message, code end
        return prepared:sign { cluster_id = "c", date = DATE }
      end,
    }
  end)
  case("cce.prepared:sign " .. name, function()
    local signer = new_signer(options)
    local prepared = made(signer:prepare(template()))
    local changes = { cluster_id = ("c"):rep(60), body = ("b"):rep(100), query = large(20).query }
    if name ~= "clock" then changes.date = DATE end
    return {
      closes = { signer, prepared }, tables = changes,
      run = function() return prepared:sign(changes) end,
    }
  end)
end
on("cce.signer:string_to_sign", new_signer,
  function(s) return s:string_to_sign(DATE, "canonical") end)
on("cce.signer:signature", new_signer, function(s) return s:signature(DATE, "string") end)
on("cce.signer tostring", new_signer, tostring)

case("core.signer", function()
  local options = {
    ak = "EXAMPLE", sk = core.secret(SK), security_token = core.secret(TOKEN),
    algorithm = "V11-HMAC-SHA256", region = "region-1", service = "cce",
    clock = function() return 1 end,
  }
  return {
    closes = { options.sk, options.security_token }, tables = options,
    run = function()
      local signer, message, code = core.signer(options)
      if signer then return signer:explain(request { headers = {} }) end
      return nil, message, code
    end,
  }
end)
case("core.libraries", function() return { run = core.libraries } end)
on("core.sha256", new_json_secret, function(s) return core.sha256(1234567, s) end)

-- ---- certificates, operations, encodings ----

case("core.certificate", function()
  return { run = function() return core.certificate(kubeconfig) end }
end)
case("core.certificate of PEM", function()
  return { run = function() return core.certificate(pem, nil) end }
end)
case("core.issued_by", function()
  return { run = function() return core.issued_by(kubeconfig, pem, 1800000000) end }
end)
case("core.key_matches", function()
  return { run = function() return core.key_matches(pem, read "spec/fixtures/pki/rsa.pem") end }
end)
with_tables("core.operation", function()
  return {
    ids = { project_id = ("p"):rep(32), cluster_id = ("c"):rep(36) },
    fields = { component = "custom", cert_content = { ca = pem, cert = pem, private_key = pem } },
  }
end, function(t) return core.operation("rotate_credentials", t.ids, t.fields, 1767323045) end)
with_tables("core.operation of a list", function()
  return { ids = { project_id = ("p"):rep(32) }, fields = { status = "Available", detail = true } }
end, function(t) return core.operation("list_clusters", t.ids, t.fields) end)
case("core.to_base64", function()
  return { run = function() return core.to_base64(1234567) end }
end)
case("core.from_base64", function()
  return { run = function() return core.from_base64 "bm90IGEgc2VjcmV0" end }
end)
case("core.endpoint", function()
  return { run = function() return core.endpoint("https://cce.example.com/a", "api") end }
end)
case("core.show_address", function()
  return { run = function() return core.show_address "https://cce.example.com/a" end }
end)
case("core.check_proxy", function()
  return { run = function() return core.check_proxy "http://u:p@127.0.0.1:1" end }
end)

-- ---- engines and transfers ----

with_tables("core.engine", function()
  return {
    ca_file = "/nonexistent/ca.pem", proxy = "http://127.0.0.1:1", no_proxy = "127.0.0.1",
    user_agent = "spec",
  }
end, function(options)
  local engine, message, code = core.engine(options)
  if engine == nil then return nil, message, code end
  local ok, _, failure = engine:call { endpoint = url, method = "GET", path = "/" }
  engine:close()
  return ok ~= nil, failure
end)

local engine, threaded = made(core.engine {}), made(core.engine { threaded = true })

local function new_request()
  return {
    endpoint = url, method = "POST", path = "/" .. ("x"):rep(50), timeout = 10,
    query = large(7).query, headers = { ["X-One"] = "1", ["X-Two"] = core.secret "two" },
    body = { '{"a":', core.secret "body", "}" }, signer = new_signer { security_token = TOKEN },
    date = 1767323045,
  }
end

local function closes_of(r, ...)
  return { r.signer, r.body[2], r.headers["X-Two"], ... }
end

local function started(on_engine)
  return made(on_engine:submit { endpoint = url, method = "GET", path = "/", timeout = 10 })
end

local function finished(on_engine)
  local transfer = started(on_engine)
  for _ = 1, 24000 do
    if transfer:finished() then return transfer end
    if on_engine == engine then engine:step(1) else core.sys.sleep(0.005) end
  end
  error "the transfer does not end"
end

local function call_case(name, make_engine)
  case(name, function()
    local r, own = new_request(), make_engine()
    return { closes = closes_of(r, own), tables = r, run = function() return own:call(r) end }
  end)
end
call_case("cce.engine:call", core.engine)
for name, options in pairs { driven = {}, threaded = { threaded = true } } do
  case("cce.engine:submit " .. name, function()
    local r, own = new_request(), made(core.engine(options))
    return {
      closes = closes_of(r, own), tables = r,
      run = function()
        local transfer, message, code = own:submit(r)
        if transfer == nil then return nil, message, code end
        transfer:close()
        return true
      end,
    }
  end)
  on("cce.engine:in_flight " .. name, function() return core.engine(options) end,
    function(own) return own:in_flight() end)
  on("cce.engine:inherited " .. name, function() return core.engine(options) end,
    function(own) return own:inherited() end)
end
for _, method in ipairs { "step", "finished" } do
  on("cce.engine:" .. method, core.engine, function(own) return own[method](own) end)
end
on("cce.engine:fd", core.engine, function(own) return type(own:fd()) end)
on("cce.engine:socket", function() return core.engine { threaded = true } end,
  function(own) return #own:socket() > 0 and not own:socket():find "[%z\1-\31]" end)
case("core.step", function()
  local engines = { made(core.engine()), made(core.engine()) }
  return {
    closes = { engines[1], engines[2] }, run = function() return core.step(engines, "0") end,
  }
end)

for name, on_engine in pairs { driven = engine, threaded = threaded } do
  on("cce.transfer:result " .. name, function() return finished(on_engine) end,
    function(t) return t:result() end)
  on("cce.transfer:result private " .. name, function() return finished(on_engine) end,
    function(t) return t:result(true) end)
  on("cce.transfer:secret " .. name, function() return finished(on_engine) end,
    function(t) return seen(t:secret()) end)
  on("cce.transfer:secret of a header " .. name, function() return finished(on_engine) end,
    function(t) return seen(t:secret "X-Subject-Token") end)
  on("cce.transfer:finished " .. name, function() return finished(on_engine) end,
    function(t) return t:finished() end)
  on("cce.transfer tostring " .. name, function() return finished(on_engine) end,
    function(t) return #tostring(t) > 0 end)
end
on("cce.transfer:result failed", function()
  local transfer = made(engine:submit {
    endpoint = "http://127.0.0.1:1", method = "GET", path = "/", timeout = 5,
  })
  while not transfer:finished() do engine:step(1) end
  return transfer
end, function(t) return t:result() end)
on("cce.transfer:id", function() return started(threaded) end, function(t) return #t:id() end)

-- ---- files and journals ----

with_tables("core.file.write", function() return { mode = "0600" } end,
  function(options) return core.file.write(dir .. "/written", "text", options) end)
with_tables("core.file.read", function() return { max = 100000 } end,
  function(options) return core.file.read(profile, options) end)
for _, name in ipairs { "stat", "glob", "check" } do
  case("core.file." .. name, function()
    return { run = function() return core.file[name](profile) end }
  end)
end
case("core.file.lock", function()
  return {
    run = function()
      local lock, message, code = core.file.lock(dir .. "/locked", { timeout = 0 })
      if lock == nil then return nil, message, code end
      lock:close()
      return true
    end,
  }
end)
on("cce.file.lock tostring",
  function() return core.file.lock(dir .. "/locked", { timeout = 1 }) end, tostring)

local KIND = "schedule export"

local function new_journal()
  os.remove(dir .. "/journal")
  return core.journal(dir .. "/journal", KIND)
end

local function done_work(work)
  for _ = 1, 24000 do
    if work:finished() then return work end
    core.sys.sleep(0.005)
  end
  error "the work does not end"
end

case("core.journal", function()
  return {
    run = function()
      local journal, message, code = new_journal()
      if journal == nil then return nil, message, code end
      journal:close()
      return true
    end,
  }
end)
case("core.journal on a thread", function()
  local own = made(core.engine { threaded = true })
  os.remove(dir .. "/journal")
  return {
    closes = { own },
    run = function()
      local work, message, code = core.journal(dir .. "/journal", KIND, own)
      if work == nil then return nil, message, code end
      done_work(work):close()
      return true
    end,
  }
end)
on("cce.journal:append", new_journal, function(j) return j:append(1234567) end)
on("cce.journal:reserve", new_journal, function(j) return j:reserve(10) end)
on("cce.journal:size", new_journal, function(j) return type(j:size()) end)
on("cce.journal:lost", new_journal, function(j) return j:lost() end)
case("cce.journal:submit", function()
  local journal, lines = made(new_journal()), { "one", "two" }
  return {
    closes = { journal }, tables = lines,
    run = function()
      local work, message, code = journal:submit(threaded, lines)
      if work == nil then return nil, message, code end
      local result = done_work(work):result()
      work:close()
      return result
    end,
  }
end)
local function opened_work()
  os.remove(dir .. "/journal")
  return done_work(made(core.journal(dir .. "/journal", KIND, threaded)))
end
on("cce.journal_work:result", opened_work, function(work)
  local journal, message, code = work:result()
  if journal == nil then return nil, message, code end
  local appended = journal:append "x"
  journal:close()
  return appended
end)
on("cce.journal_work:result failed", function()
  return done_work(made(core.journal("/nonexistent/journal", KIND, threaded)))
end, function(work) return work:result() end)
on("cce.journal_work:id", opened_work, function(work) return #work:id() end)
on("cce.journal_work:finished", opened_work, function(work) return work:finished() end)

-- ---- the system ----

local sys = core.sys

local function spawn(options)
  return sys.spawn(options or { argv = { "/bin/sleep", "100" }, die_with_parent = true })
end

with_tables("core.sys.spawn", function()
  return {
    stdin = "/dev/null", stdout = "/dev/null", stderr = "/dev/null", die_with_parent = true,
    argv = { "/bin/sh", "-c", "exit 3" }, env = { "A=" .. ("b"):rep(50), "C=D" },
  }
end, function(options)
  local process, message, code = sys.spawn(options)
  if process == nil then return nil, message, code end
  local status = process:wait(120)
  process:close()
  return status
end)
on("cce.process:signal", spawn, function(p) return p:signal "SIGCONT" end)
on("cce.process:wait", spawn, function(p) return p:wait "0" end)
on("cce.process:alive", spawn, function(p) return p:alive() end)
on("cce.process:pid", spawn, function(p) return type(p:pid()) end)
on("core.sys.signals", function() return core.secret "x" end, function()
  local signals = sys.signals "SIGUSR2"
  local name, message, code = signals:wait "0"
  signals:close()
  return name, message, code
end)
on("cce.signals:wait", function() return sys.signals "SIGUSR2" end,
  function(s) return s:wait "0" end)
local plain = {
  boottime = {}, monotonic = {}, time = {}, free_port = {}, is_terminal = { 1 },
  terminal_size = { 1 }, realpath = { "/" }, sleep = { 0 }, poll = { {}, 0 }, mkdir = { dir },
  mkdir_private = { dir .. "/XXXXXX" }, signal_is_default = { "SIGUSR2" },
}
for name, arguments in pairs(plain) do
  case("core.sys." .. name, function()
    return {
      run = function()
        local result, message, code = sys[name](finalizers.unpack(arguments))
        return type(result), type(message) == "string" and message, code
      end,
    }
  end)
end

-- ---- none was forgotten ----

-- What takes nothing that could go away, or what would end or change this process.
local without_case = {
  ["core.sys.die_with_parent"] = true, ["core.sys.umask"] = true,
}

local function has_case(name)
  for _, known in ipairs(cases) do
    if (known.name .. " "):sub(1, #name + 1) == name .. " " then return true end
  end
  return without_case[name]
end

-- What is not named above is tried with numbers, which become texts.
local function check_function(name, fn)
  if has_case(name) then return end
  case(name, function() return { run = function() return fn(1234567, 7654321) end } end)
end

local function check_functions(t, prefix)
  for name, value in pairs(t) do
    if type(value) == "function" then
      check_function(prefix .. name, value)
    elseif type(value) == "table" and value ~= json and value ~= core.operations then
      check_functions(value, prefix .. name .. ".")
    end
  end
end

check_functions(core, "core.")
for class, metatable in pairs(debug.getregistry()) do
  if type(class) == "string" and class:match "^cce%." and type(metatable) == "table" then
    for name in pairs(metatable.__index) do
      local full = class .. ":" .. name
      if name ~= "close" and not has_case(full) then
        on(full, assert(makers[class], full .. " has no case here"), function(object)
          return object[name](object, 1234567, 7654321)
        end)
      end
    end
  end
end

local only = os.getenv "CCE_TEST_CASE"
local points = 0
for _, one in ipairs(cases) do
  if not only or one.name:find(only, 1, true) then
    if only then io.write(one.name, " ") io.stdout:flush() end
    local ok, result = pcall(finalizers.sweep, one.make, mischief, limit)
    if only then print(ok and result) end
    if ok then
      points = points + result
    else
      print("FAILED " .. one.name .. ": " .. tostring(result))
    end
    io.stdout:flush()
  end
end
threaded:close()
engine:close()
print(("done: %d cases, %d points"):format(#cases, points))
