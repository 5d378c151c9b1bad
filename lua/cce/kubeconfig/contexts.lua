--- The contexts of a kubeconfig: where each leads, and which is to be current.
--
-- Internal to @{cce.kubeconfig}.
--
-- @module cce.kubeconfig.contexts
-- @local
local core = require "cce.core"
local read = require "cce.kubeconfig.read"
local values = require "cce.base.values"

local M = {}

-- The API's own name of the context that has a public address and checks the
-- server's certificate, and of the one inside of the VPC.
local VERIFYING, INTERNAL = "externalTLSVerify", "internal"

local rows_meta = {
  __name = "cce.kubeconfig.contexts",
  __tostring = function(rows)
    local lines = {}
    for i, row in ipairs(rows) do
      lines[i] = ("%s %s  %s  %s"):format(row.current and "*" or " ", row.name,
        row.server and core.show_address(row.server) or "no server",
        row.verifies_tls and "TLS verified" or "TLS NOT verified")
    end
    return #lines > 0 and table.concat(lines, "\n") or "no contexts"
  end,
}

--- The contexts in the order of the file, as `kubeconfig:contexts` returns them.
-- @tparam table data
-- @treturn {table,...}
function M.rows(data)
  local rows = {}
  for i, context in ipairs(read.entries(data, "contexts")) do
    local body = context.body
    local cluster = read.find(data, "clusters", body.cluster)
    local server = cluster and read.text(cluster.body.server)
    local skips = cluster and cluster.body["insecure-skip-tls-verify"] == true
    rows[i] = {
      name = context.name, cluster = read.text(body.cluster), user = read.text(body.user),
      namespace = read.text(body.namespace), server = server,
      verifies_tls = server ~= nil and not skips and values.lower(server):find("^https://") ~= nil,
      current = data["current-context"] == context.name,
    }
  end
  return setmetatable(rows, rows_meta)
end

--- The row of the current context, or nil.
-- @tparam table data
-- @treturn ?table
function M.current(data)
  for _, row in ipairs(M.rows(data)) do
    if row.current then return row end
  end
  return nil
end

--- The context to save as current, and to name plainly. The API makes one
-- current that does not check the server's certificate when there is a public
-- address; so that one is taken only if the user chose it.
-- @tparam table state
-- @treturn ?string its name
function M.secure(state)
  local current = M.current(state.data)
  if not current or current.verifies_tls or state.chosen then return current and current.name end
  local best, best_rank
  for _, row in ipairs(M.rows(state.data)) do
    local rank = row.name == VERIFYING and 1 or row.server == current.server and 2
      or row.name == INTERNAL and 3 or 4
    if row.verifies_tls and row.user == current.user and rank < (best_rank or 5) then
      best, best_rank = row, rank
    end
  end
  return (best or current).name
end

--- The rows of each user.
-- @tparam table data
-- @treturn table lists by the names of users
function M.by_user(data)
  local found = {}
  for _, row in ipairs(M.rows(data)) do
    if row.user then
      found[row.user] = found[row.user] or {}
      table.insert(found[row.user], row)
    end
  end
  return found
end

--- Of a user's contexts the one to name is that with the plain name of a
-- merge, or the current one, or one that checks the server's certificate.
-- @tparam {table,...} rows
-- @tparam ?string plain
-- @treturn {string,...} the names of all
-- @treturn table the row of the one to name, or an empty table
function M.to_name(rows, plain)
  local names_found, best, best_rank = {}, nil, nil
  for i, row in ipairs(rows) do
    names_found[i] = row.name
    local rank = row.name == plain and 1 or row.current and 2 or row.verifies_tls and 3 or 4
    if rank < (best_rank or 5) then best, best_rank = row, rank end
  end
  return names_found, best or {}
end

return M
