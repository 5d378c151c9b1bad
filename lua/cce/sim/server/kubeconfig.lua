--- The kubeconfig that CCE answers with: JSON, one context without a public address, three with.
local state = require("cce.sim.store.state")

local M = {}

local function server_url(address)
  return ("https://%s:%d"):format(address, state.config.port)
end

local function add(config, context, cluster_name, cluster)
  local contexts, clusters = config.contexts, config.clusters
  clusters[#clusters + 1] = { name = cluster_name, cluster = cluster }
  contexts[#contexts + 1] = { name = context, context = { cluster = cluster_name, user = "user" } }
end

--- The kubeconfig for a client's pair, as a table.
function M.build(cluster, authority, pair)
  local ca = ngx.encode_base64(authority.pem)
  local config = {
    kind = "Config", apiVersion = "v1", preferences = {}, clusters = {}, contexts = {},
    users = { {
      name = "user",
      user = {
        ["client-certificate-data"] = ngx.encode_base64(pair.pem),
        ["client-key-data"] = ngx.encode_base64(pair.key_pem),
      },
    } },
    ["current-context"] = "internal",
  }
  add(config, "internal", "internalCluster",
    { server = server_url(cluster.internal), ["certificate-authority-data"] = ca })
  if cluster.external then
    local server = server_url(cluster.external)
    add(config, "external", "externalCluster",
      { server = server, ["insecure-skip-tls-verify"] = true })
    add(config, "externalTLSVerify", "externalClusterTLSVerify",
      { server = server, ["certificate-authority-data"] = ca })
    config["current-context"] = "external"
  end
  return config
end

return M
