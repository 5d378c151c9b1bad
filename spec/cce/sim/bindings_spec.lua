-- kubectl reads and edits the simulator's bindings, and is refused by them.
local cjson = require("cjson")
local simulator = require("spec.support.sim")
local tempdir = require "spec.support.tempdir"

local admin, member = simulator.admin, simulator.member

if not (simulator.has_program("kubectl") and simulator.has_program("curl")) then
  describe("bindings of the simulator", function()
    pending("needs the commands kubectl and curl")
  end)
  return
end

describe("bindings of the simulator", function()
  local sim, cluster, home

  before_each(function()
    sim = simulator.get()
    sim:reset()
    cluster = sim.clusters[1]
    home = tempdir.new()
    for name, key in pairs({ admin = admin, member = member }) do
      simulator.write(home .. "/" .. name, sim:obtain(cluster, nil, key).body)
    end
  end)

  after_each(function()
    tempdir.remove(home)
  end)

  local function try(who, arguments)
    local _, code, output = simulator.run_shell(
      ("HOME=%s exec kubectl --kubeconfig %s/%s %s"):format(home, home, who, arguments))
    return code == 0, output
  end

  local function kubectl(arguments)
    local ok, output = try("admin", arguments)
    assert.is_true(ok, output)
    return output
  end

  -- A binding as kubectl makes it, sent as JSON.
  local function create(arguments)
    simulator.write(home .. "/new.json", kubectl("create --dry-run=client -o json " .. arguments))
    kubectl("create --validate=false -f " .. home .. "/new.json")
  end

  it("let those read who are bound by name, and nobody else", function()
    assert.is_true(try("member", "get nodes"))
    local ok, output = try("member", "get clusterrolebindings")
    assert.is_false(ok)
    assert.matches('clusterrolebindings.rbac.authorization.k8s.io is forbidden: User "'
      .. member.principal.id .. '" cannot list resource "clusterrolebindings"', output, 1, true)
    kubectl("delete clusterrolebinding sim-readers")
    ok, output = try("member", "get nodes")
    assert.is_false(ok)
    assert.matches("nodes is forbidden", output, 1, true)
    create("rolebinding devs -n dev --clusterrole view --user " .. member.principal.id)
    assert.is_true(try("member", "get pods -n dev"))
    assert.is_false(try("member", "get pods -n prod"))
    assert.is_false(try("member", "get nodes"))
    create("clusterrolebinding ops --clusterrole cluster-admin --group cce:restricted")
    assert.is_true(try("member", "get clusterrolebindings"))
  end)

  it("can be patched and replaced, but not by what is out of date", function()
    create("rolebinding devs -n dev --clusterrole view --user alice --user bob")
    local old = kubectl("get rolebinding devs -n dev -o json")
    kubectl("label rolebinding devs -n dev team=a")
    kubectl([[patch rolebinding devs -n dev -p '{"subjects":null}']])
    assert.equal("a/", kubectl(
      "get rolebinding devs -n dev -o jsonpath='{.metadata.labels.team}/{.subjects}'"))
    simulator.write(home .. "/old.json", old)
    local ok, output = try("admin", "replace --validate=false -f " .. home .. "/old.json")
    assert.is_false(ok)
    assert.matches("the object has been modified", output, 1, true)
    ok, output = try("admin",
      [[patch rolebinding devs -n dev -p '{"metadata":{"resourceVersion":"1"},"subjects":[]}']])
    assert.is_false(ok)
    assert.matches("the object has been modified", output, 1, true)
    ok, output = try("admin", [[patch rolebinding devs -n dev -p '{"roleRef":{"name":"edit"}}']])
    assert.is_false(ok)
    assert.matches("cannot change roleRef", output, 1, true)
  end)

  it("are listed in one namespace and in all, page by page", function()
    for i = 1, 5 do
      create(("rolebinding b%d -n ns%d --clusterrole view --user alice"):format(i, i % 2))
    end
    local names = "-o jsonpath='{.items[*].metadata.name}'"
    assert.equal("b2 b4", kubectl("get rolebindings -n ns0 " .. names))
    assert.equal("b2 b4 b1 b3 b5", kubectl("get rolebindings -A --chunk-size 2 " .. names))
  end)

  it("give way to AccessPolicies, which administrators alone may see", function()
    kubectl("delete clusterrolebinding sim-readers")
    local policy = { kind = "AccessPolicy", apiVersion = "v3", name = "ops",
      clusters = { cluster.id }, accessScope = { namespaces = { "dev" } },
      policyType = "CCEViewPolicy",
      principal = { type = "user", ids = { member.principal.id } } }
    local path = "/api/v3/access-policies"
    local function call(method, at, key)
      local body = (method == "POST" or method == "PUT") and cjson.encode(policy) or nil
      return sim:curl({ method = method, path = at, body = body, key = key })
    end
    local made = call("POST", path)
    assert.equal(201, made.status)
    assert.is_true(try("member", "get pods -n dev"))
    assert.is_false(try("member", "get nodes"))
    assert.equal(1, #call("GET", path).json.accessPolicyList)
    assert.equal(403, call("GET", path, member).status)
    policy.principal.ids = { "alice" }
    local one = path .. "/" .. made.json.policyId
    assert.equal(200, call("PUT", one).status)
    assert.equal("alice", call("GET", one).json.principal.ids[1])
    assert.is_false(try("member", "get pods -n dev"))
    assert.equal(204, call("DELETE", one).status)
    assert.equal(404, call("GET", one).status)
  end)
end)
