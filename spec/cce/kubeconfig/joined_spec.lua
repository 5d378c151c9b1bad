-- KUBECONFIG of several files means what it means to kubectl, which is the judge here.
local authority = require "cce.kubeconfig.authority"
local clients = require "spec.support.clients"
local child = require "spec.support.child"
local core = require "cce.core"
local exec = require "cce.kubeconfig.exec"
local joined = require "cce.kubeconfig.joined"
local json = require "cce.base.json"
local probe = require "cce.kubeconfig.probe"
local simulator = require "spec.support.sim"
local tempdir = dofile "spec/support/tempdir.lua"

if not (simulator.has_program "kubectl" and pcall(require, "lyaml")) then
  describe("KUBECONFIG of several files", function() pending "needs kubectl and lyaml" end)
  return
end

local A = [[
apiVersion: v1
kind: Config
clusters:
- {name: c, cluster: {server: "https://a"}}
users:
- {name: u, user: {token: of-a}}
contexts:
- {name: x, context: {cluster: c, user: v, namespace: shop}}
current-context: ""
]]
local B = [[
apiVersion: v1
kind: Config
clusters:
- {name: c, cluster: {server: "https://b", tls-server-name: z}}
- {name: d, cluster: {server: "https://d", proxy-url: "http://p:1"}}
users:
- {name: u, user: {username: me, password: example}}
- {name: v, user: {token: of-b}}
contexts:
- {name: x, context: {cluster: d, user: u}}
- {name: b, context: {cluster: d, user: u}}
current-context: b
]]
local C = "current-context: x\nusers:\n- {name: only-c, user: {token: t}}\n"

-- Members by name; a name without a text is a file that is not there.
local texts = { a = A, b = B, c = C, empty = "", comments = "# nothing\n", null = "null\n",
  ["with blank"] = C, json = '{"kind":"Config","current-context":"x"}', broken = "kind: [\n",
  foreign = "kind: Foo\napiVersion: v1\n" }

local lists = {
  "a", "a:b", "b:a", "a:b:c", "c:b:a", "a:c:b", ":a::b:", "a:missing:b", "missing:b", "a:a:b:a",
  "empty:a:b", "comments:b:a", "null:a", "with blank:a:b", "json:b:a", "./a:b", "a:./a:b",
}

local SHOWN = {
  clusters = { "cluster", "server", "tls-server-name", "proxy-url" },
  users = { "user", "token", "username" }, contexts = { "context", "cluster", "user", "namespace" },
}

local function plain(value)
  if value == json.null or value == "" then return nil end
  return value
end

local function summary(data)
  local found = { current = plain(data["current-context"]) }
  for section, fields in pairs(SHOWN) do
    found[section] = {}
    for _, entry in ipairs(plain(data[section]) or {}) do
      local row = {}
      for _, field in ipairs(fields) do row[field] = plain(entry[fields[1]][field]) end
      found[section][entry.name] = row
    end
  end
  return found
end

local OURS = [[
  local joined, paths = require "cce.kubeconfig.joined", require "cce.kubeconfig.paths"
  local all = joined.read((paths.default()))
  for _, each in ipairs(all.problems) do io.stderr:write(each.message, "\n") end
  print(#all.problems == 0 and require("cce.base.json").encode(all.config.data) or "problem")
]]

describe("KUBECONFIG of several files", function()
  local dir
  before_each(function()
    dir = tempdir.new()
    for name, text in pairs(texts) do tempdir.write(dir .. "/" .. name, text) end
  end)
  after_each(function() tempdir.remove(dir) end)

  -- With whole paths, but for those with a dot.
  local function members(list)
    return (list:gsub("[^:]+", function(name)
      return name:sub(1, 2) == "./" and dir .. "/" .. name or dir .. "/" .. name
    end))
  end

  local function theirs(list)
    local output, status = tempdir.run(("HOME=%s KUBECONFIG=%s kubectl --server=http://127.0.0.1:1"
      .. " config view --raw -o json"):format(dir, tempdir.quote(members(list))))
    return status == 0 and summary(assert(json.decode(output))) or nil, output
  end

  local function ours(list)
    local output = child.run({ KUBECONFIG = members(list), HOME = dir }, OURS)
    local data = json.decode(output)
    return data and summary(data), output
  end

  for _, list in ipairs(lists) do
    it("is read as kubectl reads it: " .. list, function()
      local expected, why = theirs(list)
      assert.is_table(expected, why)
      local found, message = ours(list)
      assert.same(expected, found, message)
    end)
  end

  -- The reason to differ: what can be read is of use to who looks for a certificate.
  for _, list in ipairs { "a:broken:b", "a:foreign" } do
    it("is of use where kubectl takes none of it: " .. list, function()
      assert.is_nil((theirs(list)))
      local files = {}
      for path in members(list):gmatch "[^:]+" do files[#files + 1] = path end
      local all = joined.read(files)
      assert.equal(1, #all.problems)
      assert.equal(files[2], all.problems[1].path)
      assert.is_truthy(all.config:use "x")
      assert.equal(files[1], all.origin.contexts.x)
    end)
  end

  if not simulator.has_program "nginx" then return end

  describe("with a cluster", function()
    local sim = simulator.get()
    local client, files
    before_each(function()
      sim:reset()
      client = clients.new(sim)
      core.sys.mkdir(dir .. "/users")
      core.sys.mkdir(dir .. "/clusters")
      files = { dir .. "/context", dir .. "/users/config", dir .. "/clusters/config" }
    end)
    after_each(function() client:close() end)

    -- Each part in a file of its own, and what they name beside them.
    local function split()
      local config = assert(client:obtain_cert(sim.clusters[1].id, { duration = 1 }))
      local data = json.decode(config.raw)
      local user, cluster = data.users[1].user, data.clusters[1].cluster
      for name, body in pairs { users = user, clusters = cluster } do
        for _, field in ipairs { "client-certificate", "client-key", "certificate-authority" } do
          local value = body[field .. "-data"]
          if value then
            tempdir.write(("%s/%s/%s.pem"):format(dir, name, field),
              assert(core.from_base64(value)))
            body[field .. "-data"], body[field] = nil, field .. ".pem"
          end
        end
      end
      tempdir.write(files[1], json.encode { contexts = data.contexts,
        ["current-context"] = data["current-context"] })
      tempdir.write(files[2], json.encode { users = data.users })
      tempdir.write(files[3], json.encode { clusters = data.clusters })
    end

    -- `words` of cce with these files.
    local function cce(words, list)
      return tempdir.run(("HOME=%s KUBECONFIG=%s %s bin/cce %s"):format(dir,
        tempdir.quote(table.concat(list or files, ":")), simulator.interpreter(), words))
    end

    it("opens it, with paths beside each file, for kubectl and for us", function()
      split()
      local output, status = tempdir.run(("HOME=%s KUBECONFIG=%s kubectl --request-timeout=10s get"
        .. " --raw /version"):format(dir, table.concat(files, ":")))
      assert.equal(0, status, output)
      local seen = probe.look(client, joined.read(files).config)
      assert.equal("works", seen.state, seen.text)
      -- As a person in one of the directories has them.
      local text = cce "who --check -o json"
      local row = assert(json.decode(text), text)[1]
      assert.equal("works", row.check)
      assert.equal(files[1], row.source)
      text = cce "expiry --check -o json"
      row = assert(json.decode(text), text)[1]
      assert.equal("works", row.check)
      assert.equal(files[2], row.path)
      assert.equal("internal", row.context)
    end)

    it("is looked at part by part where the files are named", function()
      split()
      assert.matches("names no user that there is", cce("who " .. files[1]))
    end)

    it("says of each file that cannot be read what is wrong", function()
      split()
      local text = cce("who", { files[1], dir .. "/broken", files[2], files[3] })
      assert.matches("cannot use '" .. dir .. "/broken' as a kubeconfig", text, 1, true)
      assert.matches("valid until", text, 1, true)
    end)

    it("has a new CA written to where kubectl reads the cluster from", function()
      local id = sim.clusters[1].id
      local config = assert(client:obtain_cert(id, { duration = 1 }))
      local data = json.decode(config.raw)
      local old = data.clusters[1].cluster["certificate-authority-data"]
      local command = assert(config:with_command { cluster_id = id })
      local user = json.decode(command.raw).users[1].user
      assert.equal(id, exec.cluster_of(user))
      local function write(path, parts) tempdir.write(path, json.encode(parts)) end
      write(files[1], { contexts = { { name = "k", context = { cluster = "k", user = "k" } },
        { name = "lost", context = { cluster = "in no file", user = "k" } } } })
      write(files[2], { users = { { name = "k", user = user } } })
      write(files[3], { clusters = { { name = "k", cluster = data.clusters[1].cluster } } })
      -- Of the same name, and never read by kubectl.
      local last = dir .. "/last"
      write(last, { clusters = { { name = "k", cluster = data.clusters[1].cluster } } })
      local before = tempdir.read(last)

      local new = core.to_base64 "-----BEGIN CERTIFICATE-----\nbmV3\n-----END CERTIFICATE-----\n"
      local done = {}
      authority.mend_together({ files[1], files[2], files[3], last }, id, new, 1,
        function(path, count, message) done[#done + 1] = { path, count, message } end)
      assert.same({ { files[3], 1 } }, done)
      assert.is_truthy(tempdir.read(files[3]):find(new, 1, true))
      assert.is_nil(tempdir.read(files[3]):find(old, 1, true))
      assert.equal(before, tempdir.read(last))
    end)
  end)
end)
