-- The whole way of a call when memory runs out: the public client and the bare core, signing,
-- libcurl, TLS and JSON, against a real simulator.
--
-- Over TLS the allocations of libcurl are left out. Seen with 7.88.1: when copying the TLS settings
-- into its session cache fails, the request succeeds and the heap is corrupt. Over plain HTTP,
-- where no such cache is, they are included.
local core = require "cce.core"
local cce = require "cce"
local server = require "spec.support.peer.server"
local simulator = require "spec.support.sim"
local sweep = require "spec.support.shared.alloc_sweep"

local sim = simulator.start { job_seconds = 0, clusters = 2 }
local env, cluster = sim.env, sim.clusters[1]
-- Answers 200 only to a request of which nothing was lost: who sends it, and a long path.
local plain = server.start(function(connection)
  while true do
    local request = connection:request()
    if not request then return end
    local is_whole = request.headers["user-agent"] == "spec"
      and (request.target == "/" or request.target == ("/x"):rep(700) .. "?y=1")
    connection:answer(is_whole and "200 OK" or "404 Not Found", "{}")
  end
end)
local OURS = { "lua", "cce/core.so" }
local HANGS_AFTER = 5 -- seconds

local function only_200(response, ...)
  if response and response.status ~= 200 then error("status " .. response.status) end
  return response, ...
end

-- The retries would hide the failure, and wait.
local function new_client()
  return assert(cce.new {
    endpoint = env.CCE_ENDPOINT, ca_file = env.CCE_CA_FILE, project_id = sim.project_id,
    credentials = { ak = env.HUAWEICLOUD_SDK_AK, sk = env.HUAWEICLOUD_SDK_SK }, proxy = false,
    retry = { max_attempts = 1 }, timeout = 20,
  })
end

local function close(object)
  object:close()
end

local function engine_and_signer()
  return {
    engine = assert(core.engine { ca_file = env.CCE_CA_FILE, user_agent = "spec" }),
    signer = assert(core.signer { ak = env.HUAWEICLOUD_SDK_AK, sk = env.HUAWEICLOUD_SDK_SK }),
  }
end

local function close_both(state)
  state.engine:close()
  state.signer:close()
end

local request = {
  method = "POST", host = "cce.example.com", path = "/a b/c", body = "{\"duration\":1}",
  query = { { "b", "2" }, { "a", "1 2" } }, headers = { ["Content-Type"] = "application/json" },
  date = 1767323045,
}

for _, algorithm in ipairs { "SDK-HMAC-SHA256", "SDK-HMAC-SM3", "V11-HMAC-SHA256" } do
  sweep {
    name = "sign with " .. algorithm,
    action = function()
      local signer, message = core.signer {
        ak = "FAKEAK", sk = "not-a-real-key", security_token = "fake", algorithm = algorithm,
        region = "region-1", service = "cce",
      }
      if not signer then
        return nil, message
      end
      local headers, reason = signer:sign(request)
      signer:close()
      return headers, reason
    end,
  }
end

sweep {
  name = "make and close an engine",
  may_say = { "the proxy is not an address" }, -- of an allocation of libcurl 7.88.1
  action = function()
    local engine, message = core.engine {
      ca_file = env.CCE_CA_FILE, proxy = "http://user:fake@127.0.0.1:1", no_proxy = "a,b",
      user_agent = "spec",
    }
    if engine then
      engine:close()
    end
    return engine, message
  end,
}

sweep {
  name = "call through the core alone",
  watch = OURS,
  setup = engine_and_signer,
  teardown = close_both,
  action = function(state)
    local operation, message = core.operation("list_clusters", { project_id = sim.project_id },
      {}, os.time())
    if not operation then
      return nil, message
    end
    operation.endpoint, operation.signer = env.CCE_ENDPOINT, state.signer
    return only_200(state.engine:call(operation))
  end,
}

-- Drives a transfer without engine:call, which would wait for ever for one that hangs.
local function wait_for(engine, transfer)
  local deadline = core.sys.monotonic() + HANGS_AFTER
  while not transfer:finished() do
    local ok, message = engine:step(0.05)
    if not ok then
      return nil, message
    elseif core.sys.monotonic() > deadline then
      error("the transfer hangs beyond its time-out", 0)
    end
  end
  return transfer:result()
end

sweep {
  name = "two transfers at once, one of them dropped, libcurl included",
  may_say = { "Could not resolve host" }, -- of an allocation of libcurl 7.88.1
  setup = engine_and_signer,
  teardown = close_both,
  action = function(state)
    local spec = {
      endpoint = plain.url, method = "POST", path = "/", body = "{}", signer = state.signer,
      timeout = HANGS_AFTER / 2,
    }
    local first, message = state.engine:submit(spec)
    local second, reason = state.engine:submit(spec)
    if not (first and second) then
      return nil, message or reason
    end
    second:close()
    return only_200(wait_for(state.engine, first))
  end,
}

for _, way in ipairs { "signed", "with a token" } do
  sweep {
    name = "send to a path longer than what is kept for one, " .. way,
    watch = OURS,
    setup = engine_and_signer,
    teardown = close_both,
    action = function(state)
      return only_200(state.engine:call {
        endpoint = plain.url, method = "GET", path = ("/x"):rep(700), query = { { "y", "1" } },
        signer = way == "signed" and state.signer or nil,
        token = way ~= "signed" and "fake-token" or nil, timeout = HANGS_AFTER / 2,
      })
    end,
  }
end

local kubeconfig = core.json.decode(sim:obtain(cluster).body)
local user, server_of_cluster = kubeconfig.users[1].user, kubeconfig.clusters[1].cluster

sweep {
  name = "come with a client certificate",
  watch = OURS,
  setup = engine_and_signer,
  teardown = close_both,
  action = function(state)
    return only_200(state.engine:call {
      endpoint = server_of_cluster.server, method = "GET", path = "/api", timeout = 20,
      identity = { ca = server_of_cluster["certificate-authority-data"],
        certificate = user["client-certificate-data"], key = user["client-key-data"] },
    })
  end,
}

sweep {
  name = "obtain a certificate",
  watch = OURS,
  setup = new_client,
  teardown = close,
  action = function(client)
    return client:obtain_cert(cluster.id, { duration = 1 })
  end,
}

sweep {
  name = "revoke a user's certificates",
  watch = OURS,
  setup = new_client,
  teardown = close,
  action = function(client)
    return client:revoke_cert(cluster.id, { user_id = simulator.member.principal.id })
  end,
}

sweep {
  name = "rotate a cluster's credentials",
  watch = OURS,
  setup = new_client,
  teardown = close,
  action = function(client)
    return client:rotate_credentials(cluster.id, { component = "all" })
  end,
}

plain:stop()
sim:stop()
