--- The simulated account: who there is and with which keys. The secrets are examples, good for
-- nothing but the simulator.
local M = {}

M.region = "sim-region-1"
M.project_id = "0123456789abcdef0123456789abcdef"
M.domain_id = "d0000000000000000000000000000000"
M.domain_name = "sim-account"

--- A trusted OpenID Connect provider, and the one ID token that it has signed.
M.identity_provider = { id = "sim-idp", id_token = "sim-example-id-token-of-a-robot" }

--- What a pod's service account shows.
M.pod_token = "sim-example-service-account-token"

--- An agency that this account entrusts; `key`: whose principal it acts as.
M.agency = { name = "sim-agency", key = 3 }

-- The region whose tracker has the traces of IAM, which belongs to no region.
M.central = { region = "ap-southeast-1", project_id = "fedcba9876543210fedcba9876543210" }

-- A member may revoke only its own certificates; an agency's certificates are revoked by agencyId.
M.keys = {
  {
    ak = "SIMEXAMPLE0ADMIN0AK", sk = "sim-example-secret-key-of-the-admin-only-0001",
    token = "sim-example-token-of-the-admin",
    password = "sim-example-password-of-the-admin",
    principal = {
      id = "a0000000000000000000000000000001", kind = "user", name = "admin", admin = true,
      organisation = "system:masters",
    },
  },
  {
    ak = "SIMEXAMPLE0MEMBERAK", sk = "sim-example-secret-key-of-the-member-only-0002",
    token = "sim-example-token-of-the-member",
    password = "sim-example-password-of-the-member",
    principal = {
      id = "b0000000000000000000000000000002", kind = "user", name = "member", admin = false,
      organisation = "cce:restricted",
    },
  },
  {
    ak = "SIMEXAMPLE0AGENCYAK", sk = "sim-example-secret-key-of-the-agency-only-0003",
    token = "sim-example-token-of-the-agency",
    password = "sim-example-password-of-the-agency",
    principal = {
      id = "c0000000000000000000000000000003", kind = "agency", name = "agency", admin = false,
      organisation = "cce:restricted",
    },
  },
}

return M
