-- No file that is not of our kinds changes by a byte, whatever command or option names it.
local command = require "spec.support.command"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "nginx" and pcall(require, "argparse")) then
  describe("files of others", function() pending "needs nginx and argparse" end)
  return
end

local cli = require "cce.cli"
local unpack = table.unpack or unpack -- luacheck: ignore

local KUBECONFIG = '{"kind":"Config","users":[{"name":"me","user":{"token":"example"}}]}'

-- What may lie at a path, which @ stands for.
local CONTENTS = {
  ["one line of JSON"] = '{"apiVersion":"v1","kind":"Secret","data":{"key":"c2VjcmV0"}}',
  ["JSON lines"] = '{"n":1,"at":"yesterday"}\n{"what":"run"}\n{"torn":',
  ["YAML"] = "apiVersion: v1\nkind: Secret\ndata:\n  key: c2VjcmV0\n",
  ["PEM"] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
  ["a text"] = "the only copy of something",
  ["a kubeconfig"] = KUBECONFIG,
}
local OTHERS = {
  ["a directory"] = "mkdir @; echo x > @/inside",
  ["a FIFO"] = "mkfifo @",
  ["a link to a device"] = "ln -s /dev/null @",
  ["a link to a text"] = "printf %s 'a text' > @.target; ln -s @.target @",
}
-- In a directory where everybody may put files.
local OF_ANOTHER = {
  ["another user's empty file"] = "touch @; chown 65534 @",
  ["another user's kubeconfig"] = "printf %s '" .. KUBECONFIG .. "' > @; chown 65534 @",
  ["another user's link to nothing"] = "ln -s @.target @; chown -h 65534 @",
  ["another user's link to a file"] = "echo '{}' > @.target; ln -s @.target @; "
    .. "chown -h 65534 @",
}

local USER = ("%032x"):format(7)

local function words_of(text)
  local words = {}
  for word in text:gmatch "%S+" do words[#words + 1] = word end
  return words
end

-- Each names a path that it would write to. `keeps`: what it may change; `may_go_on`: it may
-- leave the file alone and do the rest.
local WRITERS = {
  { "rotate cluster-001 --component all --yes --no-wait --journal %s" },
  { "revoke cluster-001 --user " .. USER .. " --unknown-ok --yes --journal %s" },
  { "obtain cluster-001 --days 1 --out - --audit-log %s" },
  { "obtain cluster-001 --days 1 --out -", env = "CCE_AUDIT_LOG" },
  { "obtain cluster-001 --days 1 --out %s", keeps = "a kubeconfig" },
  { "obtain cluster-001 --days 1 --merge-into %s", keeps = "a kubeconfig" },
  { "ensure cluster-001 --days 1 --out %s", keeps = "a kubeconfig" },
  { "ensure cluster-001 --days 1 --merge-into %s", keeps = "a kubeconfig" },
  { "grant cluster-001 --for 1h --allow-self --store sqlite:grants.db --out %s",
    keeps = "a kubeconfig" },
  { "schedule list --store sqlite:%s", may_go_on = true },
  { "schedule export %s --store sqlite:exported.db" },
  { "rotate cluster-001 --component all --yes --no-wait --report %s.html", suffix = ".html" },
  { "rotate cluster-001 --component all --yes --no-wait --report %s.json", suffix = ".json" },
  { "revoke cluster-001 --user " .. USER .. " --unknown-ok --yes --report %s.json",
    suffix = ".json" },
  { "ensure cluster-001 --days 1 --out sure --report %s.json", suffix = ".json" },
  { "leaver " .. USER .. " --unknown-ok --yes --journal %s" },
  { "leaver " .. USER .. " --unknown-ok --yes --report %s.json", suffix = ".json" },
  { "status --report %s.json", suffix = ".json" },
  { "rotate cluster-001 --component all --yes --no-wait --reissue %s --days 1",
    keeps = "a directory" },
  { "ensure cluster-001 --days 1 --dir %s", keeps = "a directory" },
  { "grant cluster-001 --for 1h --allow-self --store sqlite:grants.db --merge-into %s",
    keeps = "a kubeconfig" },
  { "runs list --journal %s" }, { "runs show --journal %s" },
  { "runs settle run-1 cluster-001 --happened --journal %s" },
  { "runs discard run-1 --yes --journal %s" },
  { "schedule run --once --store sqlite:run.db --journal-dir %s", keeps = "a directory" },
  -- What cannot be measured must be revoked all the same.
  { "schedule run --once --store sqlite:run.db --metrics %s", may_go_on = true },
}

-- These only read. `ok`: what they may like.
local READERS = {
  "clusters --ca-file %s", "clusters --token-file %s", "rotate --component all --dry-run -f %s",
  "revoke --all --kubeconfig %s --dry-run", "revoke --all --certificate %s --dry-run",
  "revoke cluster-001 --user " .. USER .. " --verify-with %s --dry-run", "log verify %s",
  "revoke --undo %s --dry-run", "leaver " .. USER .. " --unknown-ok --verify-with %s --dry-run",
  "revoke cluster-001 --user " .. USER .. " --unknown-ok --remove --admin %s --dry-run",
  "leaver " .. USER .. " --unknown-ok --admin %s --dry-run", "holders --all --admin %s",
  "schedule add revoke cluster-001 --users %s --at +1h --dry-run",
  "revoke cluster-001 --users %s --unknown-ok --dry-run",
  "leaver -f %s --unknown-ok --dry-run",
  "log verify x --key-file %s", "schedule import %s --store sqlite:imported.db", "expiry %s",
  "who %s", "clusters -f %s", "status -f %s", "ensure -f %s --days 1 --dir made",
  "revoke -f %s --user " .. USER .. " --dry-run", "holders -f %s", "holders --all --traces %s",
  "holders --all --logs %s", "holders --all --kubeconfigs %s", "holders --all --expected %s",
  "metrics %s", "schedule add revoke -f %s --user " .. USER .. " --at +1h --dry-run",
  "schedule add rotate -f %s --every 30d --dry-run",
}
for _, option in ipairs { "--ca", "--cert", "--key" } do
  READERS[#READERS + 1] = "rotate cluster-001 --component custom --dry-run " .. option .. " %s"
end
for _, start in ipairs { "schedule list", "metrics x",
  "grant cluster-001 --for 1h --allow-self --out x" } do
  for _, option in ipairs { "--etcd-ca-file", "--etcd-cert", "--etcd-key" } do
    READERS[#READERS + 1] = ("%s %s %%s --store etcd:https://127.0.0.1:1/x"):format(start, option)
  end
end

local IS_PATH = { FILE = true, PATH = true, DIR = true }

-- What other options and arguments take. WHERE is tried by the rows with --store.
local IS_NO_PATH = {}
for word in ("AGENCY CLOUD CLUSTER COMMAND CONTEXT DATES DAYS ENTRY FORMAT HASH HOURS ID JOB KIND N"
  .. " NAME NAME[@DOMAIN] PATTERN PHASE PROFILE RATE REGION RUN SECONDS SHELL STATE TEXT TIME URL"
  .. " USER VERSION WHERE WINDOWS ZONE word"):gmatch "%S+" do
  IS_NO_PATH[word] = true
end

-- Every option and argument that takes a path, as `{ words before it, option, … }`, and what
-- each of the others takes.
local function path_options(parser, words, found, others)
  for _, list in ipairs { parser._options, parser._arguments } do
    for _, each in ipairs(list) do
      local name = type(each._argname) == "table" and each._argname[1] or each._argname
      if IS_PATH[name] then
        found[#found + 1] = { words, unpack(each._aliases or {}) }
      elseif each._maxargs > 0 then
        others[words .. (each._name or each._aliases[1])] = name or each._name
      end
    end
  end
  for _, inner in ipairs(parser._commands) do
    path_options(inner, words .. inner._name .. " ", found, others)
  end
  return found
end

local function names_path(text, words, option)
  if text:sub(1, #words) ~= words then return false end
  if option then return text:find(option .. " %s", 1, true) ~= nil end
  local before = text:match "(%S+) %%s"
  return before:sub(1, 1) ~= "-"
end

describe("files of others", function()
  local sim, world, dir

  it("are tried with every option that takes a path", function()
    local rows = { "sim --dir %s", unpack(READERS) }
    for _, writer in ipairs(WRITERS) do rows[#rows + 1] = writer[1] end
    local others = {}
    local options = path_options(cli.parser(cli.commands), "", {}, others)
    for option, takes in pairs(others) do
      assert.is_true(IS_NO_PATH[takes], ("%s takes %s"):format(option, takes))
    end
    assert.is_true(#options > 50)
    for _, each in ipairs(options) do
      local is_tried = false
      for _, text in ipairs(rows) do
        for i = 2, math.max(2, #each) do
          is_tried = is_tried or names_path(text, each[1], each[i])
        end
      end
      assert.is_true(is_tried, table.concat(each, " "))
    end
  end)

  setup(function() sim = simulator.get() end)

  before_each(function()
    sim:reset()
    world = command.new(sim)
    dir = world.dir .. "/files"
    tempdir.check("mkdir " .. dir)
  end)

  after_each(function() world:remove() end)

  -- Everything that can be known of the files, but when they were read.
  local function snapshot()
    return tempdir.check(("cd %s; find . ! -type d -printf '%%P %%y %%i %%s %%m %%U %%l %%T@\\n' "
      .. "-o -printf '%%P %%y %%i %%m %%U\\n' | LC_ALL=C sort; find . -type f -exec sha256sum {} + "
      .. "| LC_ALL=C sort"):format(dir))
  end

  local function place(kinds, but, suffix)
    local paths, count = {}, 0
    for kind, what in pairs(kinds) do
      if kind ~= but then
        count = count + 1
        local path = ("%s/%d"):format(dir, count)
        paths[kind] = path
        if CONTENTS[kind] then
          tempdir.write(path .. suffix, what)
        else
          tempdir.check((what:gsub("@", path .. suffix)))
        end
      end
    end
    return paths
  end

  -- Runs it for all paths at once.
  local function run_all(text, env, paths)
    local ends = {}
    for kind, path in pairs(paths) do
      local words = words_of((text:gsub("%%s", path)
        -- Stores of our own, beside what must not change.
        :gsub("sqlite:(%a+%.db)", "sqlite:" .. world.dir .. "/%1")))
      ends[kind] = world:start_cce(words, { env = env and { [env] = path } or nil })
    end
    local results = {}
    for kind, wait in pairs(ends) do results[kind] = wait() end
    return results
  end

  for _, writer in ipairs(WRITERS) do
    local text, suffix = writer[1], writer.suffix or ""
    local name = writer.env and text .. " with " .. writer.env or text
    it("stay as they are: " .. name, function()
      for _, kinds in ipairs { CONTENTS, OTHERS, OF_ANOTHER } do
        if kinds == OF_ANOTHER and not tempdir.is_root() then break end
        tempdir.check(("rm -rf %s; mkdir %s"):format(dir, dir))
        local paths = place(kinds, writer.keeps, suffix)
        if kinds == OF_ANOTHER then tempdir.check("chmod 1777 " .. dir) end
        local before = snapshot()
        for kind, result in pairs(run_all(text, writer.env, paths)) do
          assert.is_true(result.code ~= 0 or writer.may_go_on or false,
            ("%s: %s"):format(kind, result.out))
          assert.matches("%S", result.err .. result.out, kind)
        end
        assert.equal(before, snapshot())
        assert.same({}, sim:log { operation = "rotate_credentials" })
        assert.same({}, sim:log { operation = "revoke_cert" })
      end
    end)
  end

  it("stay as they are in a directory that is to hold kubeconfigs", function()
    local path = dir .. "/cluster-001.json"
    for kind, what in pairs(CONTENTS) do
      tempdir.write(path, what)
      world:cce { "ensure", "cluster-001", "--days", "1", "--dir", dir }
      assert.equal(what, tempdir.read(path), kind)
    end
  end)

  it("stay as they are in a simulator's directory", function()
    tempdir.check("chmod 1777 " .. dir)
    local before = snapshot()
    assert.is_true(world:cce({ "sim", "--dir", dir }).code ~= 0)
    assert.equal(before, snapshot())
    for _, name in ipairs { "env", "nginx.conf", "config.json", "ca.pem", "nginx.log", "ready" } do
      tempdir.check(("rm -rf %s; mkdir %s"):format(dir, dir))
      tempdir.write(dir .. "/" .. name, "mine")
      before = snapshot()
      assert.is_true(world:cce({ "sim", "--dir", dir }).code ~= 0)
      assert.equal(before, snapshot())
    end
  end)

  for _, text in ipairs(READERS) do
    it("are only read: " .. text, function()
      local paths = place(CONTENTS, nil, "")
      local before = snapshot()
      run_all(text, nil, paths)
      assert.equal(before, snapshot())
      tempdir.check(("rm -rf %s; mkdir %s"):format(dir, dir))
    end)
  end

  it("stay as they are where profiles are looked for", function()
    for kind, what in pairs(CONTENTS) do
      tempdir.check(("mkdir -p %s/cce"):format(dir))
      tempdir.write(dir .. "/cce/config", what)
      local before = snapshot()
      local result = world:cce({ "profiles" }, { env = { XDG_CONFIG_HOME = dir } })
      assert.is_true(result.code ~= 0, kind)
      assert.equal(before, snapshot())
    end
  end)
end)
