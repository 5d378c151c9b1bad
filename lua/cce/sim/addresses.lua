--- Who lives where: each service and each cluster of the simulator has a loopback address of
-- its own, all at one port, so that a URL alone says who is meant.
local M = {}

--- The cloud services. `control` speaks plain HTTP, all others TLS.
M.services = {
  cce = "127.0.0.1",
  iam = "127.0.0.2",
  cts = "127.0.0.3",
  sts = "127.0.0.4",
}
M.control = "127.0.0.9"

--- Those that a cloud's own machines and pods ask, by plain HTTP.
M.plain = {
  metadata = "127.0.0.5",
  pod_identity = "127.0.0.6",
}

--- Listeners with a server certificate that no client may accept.
M.bad_tls = {
  expired = "127.0.0.21",
  wrong_name = "127.0.0.22",
  unknown_ca = "127.0.0.23",
  self_signed = "127.0.0.24",
}

-- 250 hosts in each third byte: .0 and .255 stay out, for tools that dislike them.
local HOSTS = 250
M.max_clusters = 2000

--- The index of the one cluster of Autopilot, behind all others.
M.autopilot_index = M.max_clusters + 1

local function numbered(network, index)
  local high = math.floor((index - 1) / HOSTS)
  return ("127.%d.%d.%d"):format(network, high, (index - 1) % HOSTS + 1)
end

--- Where a cluster's Kubernetes API listens inside its VPC.
function M.internal(index)
  return numbered(1, index)
end

--- Where it listens on its public address (EIP); only clusters of an even index have one.
function M.external(index)
  return numbered(2, index)
end

function M.has_external(index)
  return index % 2 == 0
end

--- The index of the cluster that listens at an address, or nil.
function M.cluster_index(address)
  local network, high, low = address:match("^127%.([12])%.(%d+)%.(%d+)$")
  if network then
    return tonumber(high) * HOSTS + tonumber(low)
  end
end

return M
