-- The Lua side of nginx.conf beside it.
--
-- One client a worker serves all requests: it is made by the first, and its
-- calls yield, so that the worker goes on with others meanwhile.
local cce = require "cce"
local cjson = require "cjson.safe"

local M = {}

local client
local metrics = cce.metrics.new { shared = ngx.shared.cce_metrics }

local function get_client()
  if not client then
    local message, err
    client, message, err = cce.new { timeout = 30, on_event = metrics:observer() }
    if not client then return nil, message, err end
  end
  return client
end

--- Answer with a status and a body of JSON.
function M.answer(status, body)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

local answer = M.answer

local STATUS = {
  INVALID_ARGUMENT = 400, BAD_REQUEST = 400, NOT_FOUND = 404, CONFLICT = 409,
  RESOURCE_LOCKED = 409, THROTTLED = 429, TIMEOUT = 504,
}

--- Answer with an error. Errors hold no secrets, so the caller may see them as they are.
function M.answer_error(err)
  return answer(STATUS[err.code] or 502, cjson.encode {
    code = err.code, message = err.message, hint = err.hint, request_id = err.request_id,
    retryable = err.retryable, maybe_applied = err.maybe_applied,
  })
end

local answer_error = M.answer_error

-- Compares without telling by its time how much was right.
local function same(a, b)
  if #a ~= #b then return false end
  local difference = 0
  for i = 1, #a do
    difference = difference + math.abs(a:byte(i) - b:byte(i))
  end
  return difference == 0
end

--- Only who knows GATEWAY_TOKEN may go on.
function M.check_caller()
  local expected = os.getenv("GATEWAY_TOKEN")
  local given = (ngx.var.http_authorization or ""):match("^Bearer (.+)$")
  if expected and expected ~= "" and given and same(given, expected) then return end
  return answer(401, '{"code":"UNAUTHENTICATED","message":"a valid bearer token is needed"}')
end

local actions = {}

function actions.obtain(api, cluster_id, request)
  local kubeconfig, _, err = api:obtain_cert(cluster_id, {
    duration = request.duration, expire_at = request.expire_at,
  })
  if not kubeconfig then return nil, err end
  return kubeconfig.raw
end

function actions.revoke(api, cluster_id, request)
  local ok, _, err = api:revoke_cert(cluster_id, {
    user_id = request.user_id, agency_id = request.agency_id,
  })
  if not ok then return nil, err end
  return '{"revoked":true}'
end

function actions.rotate(api, cluster_id, request)
  local job, _, err = api:rotate_credentials(cluster_id, { component = request.component })
  if not job then return nil, err end
  return cjson.encode { job_id = job.id }
end

--- The JSON object in the body of a POST; otherwise the answer is given.
function M.read_request()
  if ngx.req.get_method() ~= "POST" then
    return answer(405, '{"code":"INVALID_ARGUMENT","message":"use POST"}')
  end
  ngx.req.read_body()
  local request = cjson.decode(ngx.req.get_body_data() or "{}")
  if type(request) == "table" then return request end
  return answer(400, '{"code":"INVALID_ARGUMENT","message":"the body must be a JSON object"}')
end

--- Answer with the body that a function of a request returns, or with its err.
function M.answer_with(status, act, ...)
  -- A wrong type in the body raises: that is the caller's mistake here.
  local ok, body, err = pcall(act, ...)
  if not ok then
    local message = tostring(body):gsub("^%S+:%d+: ", "") -- not where in our source
    return answer(400, cjson.encode { code = "INVALID_ARGUMENT", message = message })
  end
  if not body then return answer_error(err) end
  return answer(status, body)
end

--- Obtain, revoke or rotate, with the options of the request's JSON body.
function M.act(action, cluster_id)
  local request = M.read_request()
  local api, _, err = get_client()
  if not api then return answer_error(err) end
  return M.answer_with(200, actions[action], api, cluster_id, request)
end

function M.show_job(id)
  local api, _, err = get_client()
  if not api then return answer_error(err) end
  local job
  job, _, err = api:show_job(id)
  if not job then return answer_error(err) end
  return answer(200, cjson.encode { id = job.id, phase = job.phase, reason = job.reason })
end

--- What the clients of all workers did, in Prometheus' text format.
function M.show_metrics()
  ngx.header["Content-Type"] = "text/plain; version=0.0.4"
  ngx.print(metrics:text())
end

return M
