--- The bodies with which the real services refuse. Each function returns a response,
-- { status=, body= }.
local M = {}

--- A refusal by the API gateway, before any service saw the request.
function M.gateway(status, code, message)
  return { status = status, body = { error_code = code, error_msg = message }, by_gateway = true }
end

function M.unauthenticated(detail)
  return M.gateway(401, "APIGW.0301", "Incorrect IAM authentication information: " .. detail)
end

function M.no_api()
  return M.gateway(404, "APIGW.0101",
    "The API does not exist or has not been published in the environment.")
end

function M.throttled(limit, window)
  return M.gateway(429, "APIGW.0308", (
    "The throttling threshold has been reached: policy user over ratelimit,limit:%d,time:%s"
  ):format(limit or 200, window or "5 minute"))
end

-- name -> HTTP status, errorCode, errorMessage, error_code, error_msg, reason. The two codes are
-- CCE's own and its common layer's; where the second is not known it is left out, as in the
-- documented short form.
local cce = {
  invalid = { 400, "CCE.01400001", "Invalid request.", "CCE_CM.0004", "Request is invalid",
    "BadRequest" },
  bad_body = { 400, "CCE.01400001", "Invalid request.", "CCE_CM.0201", "Request body invalid",
    "BadRequest" },
  content_type = { 400, "CCE.01400006", "Content type not supported.", nil, nil, "BadRequest" },
  forbidden = { 403, "CCE.01403001", "Forbidden.", nil, nil, "Forbidden" },
  not_found = { 404, "CCE.01404001", "Resource not found.", "CCE_CM.0003", "Resource not found",
    "NotFound" },
  conflict = { 409, "CCE.01409002", "Resource updated with an out-of-date version.", nil, nil,
    "Conflict" },
  locked = { 429, "CCE.01429002", "Resource locked by other requests.", nil, nil,
    "TooManyRequests" },
  internal = { 500, "CCE.01500001", "Internal error.", nil, nil, "InternalError" },
}

--- A refusal by CCE. name: a row of the table above; detail: the one useful sentence.
function M.cce(name, detail)
  local row = cce[name]
  return {
    status = row[1],
    body = {
      kind = "Status", apiVersion = "v1", metadata = {}, status = "Failure",
      code = row[1], errorCode = row[2], errorMessage = row[3], error_code = row[4],
      error_msg = row[5], reason = row[6], message = detail,
    },
  }
end

--- A refusal by IAM.
function M.iam(status, code, message)
  return { status = status, body = { error = { code = code, message = message } } }
end

--- A refusal by a Kubernetes API.
function M.kubernetes(status, reason, message)
  return {
    status = status,
    body = {
      kind = "Status", apiVersion = "v1", metadata = {}, status = "Failure",
      code = status, reason = reason, message = message,
    },
  }
end

local by_status = {
  [400] = function() return M.cce("invalid", "fault injected") end,
  [401] = function() return M.unauthenticated("decrypt token fail") end,
  [403] = function() return M.cce("forbidden", "fault injected") end,
  [404] = function() return M.cce("not_found", "fault injected") end,
  [409] = function() return M.cce("conflict", "fault injected") end,
  [429] = function() return M.throttled() end,
  [500] = function() return M.cce("internal", "fault injected") end,
}

--- What a service says with this status when a fault names no body.
function M.of_status(status)
  local make = by_status[status]
  return make and make() or M.gateway(status, "APIGW.0000", "fault injected")
end

return M
