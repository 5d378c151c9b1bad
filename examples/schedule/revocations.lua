-- The Lua side of nginx.conf beside it; gateway.lua of examples/nginx does the rest.
--
-- Each worker of each gateway runs the same schedule, in etcd. What is due is done
-- once, by one of them, and a gateway that dies is missed by nobody.
local cce = require "cce"
local cjson = require "cjson.safe"
local gateway = require "gateway"

local M = {}

-- Of this worker: clients by region and project, and the schedule for requests.
local clients, schedule = {}, nil

local ETCD = {
  ca_file = os.getenv "CCE_ETCD_CA_FILE", cert = os.getenv "CCE_ETCD_CERT",
  key = os.getenv "CCE_ETCD_KEY", username = os.getenv "CCE_ETCD_USERNAME",
  password = os.getenv "CCE_ETCD_PASSWORD",
}

local function client_for(entry)
  local name = (entry.region or "") .. "\n" .. (entry.project_id or "")
  if clients[name] then return clients[name] end
  local message, err
  clients[name], message, err = cce.new { region = entry.region, project_id = entry.project_id }
  return clients[name], message, err
end

--- For init_worker_by_lua: do what is due, for as long as this worker lives.
function M.run()
  assert(cce.openresty.schedule { store = os.getenv "CCE_SCHEDULE", options = ETCD,
    client_for = client_for, lease = 15, concurrency = 5 })
end

local function get_schedule()
  if not schedule then
    local message, err
    schedule, message, err = cce.schedule.open(os.getenv "CCE_SCHEDULE", ETCD)
    if not schedule then return nil, message, err end
  end
  return schedule
end

-- What an entry is to whoever asks. Its revision is the store's own affair.
local FIELDS = { "id", "kind", "state", "due", "region", "project_id", "cluster_id", "user_id",
  "agency_id", "reason", "attempts", "next_try", "last_error", "ended", "request_id", "why" }

local function as_value(entry)
  local value = {}
  for _, name in ipairs(FIELDS) do value[name] = entry[name] end
  return value
end

local function add(request)
  local opened, _, err = get_schedule()
  if not opened then return nil, err end
  local at, id = request.at
  request.at = nil
  id, _, err = opened:revoke_at(at, request)
  if not id then return nil, err end
  return cjson.encode { id = id }
end

local function list_overdue(after)
  local opened, _, err = get_schedule()
  if not opened then return nil, err end
  local page
  page, _, err = opened:list { status = "overdue", after = after }
  if not page then return nil, err end
  -- lua-cjson would write an empty list as {}.
  local items = {}
  for i, entry in ipairs(page) do items[i] = cjson.encode(as_value(entry)) end
  return ('{"count":%d,"items":[%s],"next":%s}'):format(#items, table.concat(items, ","),
    cjson.encode(page.next))
end

local function show(id)
  local opened, _, err = get_schedule()
  if not opened then return nil, err end
  local entry
  entry, _, err = opened:get(id)
  if not entry then return nil, err end
  return cjson.encode(as_value(entry))
end

--- POST: promise a revocation. With the status 201 it is in etcd, and will happen.
function M.add()
  return gateway.answer_with(201, add, gateway.read_request())
end

--- What should have been done, a page at a time: `?after=` is `next` of the page before.
-- This is what to alert on.
function M.list_overdue()
  return gateway.answer_with(200, list_overdue, ngx.var.arg_after and
    ngx.unescape_uri(ngx.var.arg_after))
end

--- What became of one.
function M.show(id)
  return gateway.answer_with(200, show, id)
end

return M
