--- What the API's answers mean: which of our codes, and what to tell a person.
--
-- Huawei's services and their gateways know several shapes of error bodies; all
-- are read here, and a body that is no JSON is an error that shows its first
-- words. No network, no state.
-- @module cce.api.response
-- @local
local core = require "cce.core"
local errors = require "cce.error"
local times = require "cce.base.times"
local hints = require "cce.api.hint"
local values = require "cce.base.values"
local width = require "cce.text.width"

local M = {}

-- Each half of a pair of surrogates that stands alone as U+FFFD.
local function whole_characters(text)
  local second
  return (text:gsub("()\\(.)(%x?%x?%x?%x?)", function(at, letter, digits)
    local code = letter == "u" and tonumber(digits, 16)
    if not code or code < 0xD800 or code > 0xDFFF or at == second then return nil end
    if code < 0xDC00 and text:find("^\\u[dD][c-fC-F]%x%x", at + 6) then
      second = at + 6
      return nil
    end
    return "\\ufffd"
  end))
end

--- Reads JSON that a service wrote: half a character, which is left where text was cut, is
-- U+FFFD, as it is to Go; lua-cjson alone would read nothing of the whole text.
-- @tparam string text
-- @return the value; nil when the text is no JSON
function M.json(text)
  local value, message = core.json.decode(text)
  if message then value = core.json.decode(whole_characters(text)) end
  return value
end

local EXCERPT = 200

-- A gateway's canonical request, which explains a wrong signature, is shorter.
local MAX_TEXT = 4000

--- The beginning of a text on one line, with what a terminal could obey made
-- visible.
function M.excerpt(text)
  local cut = #text > EXCERPT
  text = text:sub(1, EXCERPT):gsub("%s+", " "):gsub("[%c\127-\255]", "?")
  return cut and text .. "…" or text
end

-- The gateway repeats the headers that it was sent, some of which are secrets.
local SECRET_HEADERS = { "[xX]%-[sS]ecurity%-[tT]oken", "[xX]%-[aA]uth%-[tT]oken",
  "[xX]%-[sS]ubject%-[tT]oken" }

local function redact(text)
  for _, name in ipairs(SECRET_HEADERS) do
    text = text:gsub("(" .. name .. "[\"']?%s*[:=]%s*[\"']?)[^|%s\"',]+", "%1***")
  end
  return text
end

local function is_text(value)
  return type(value) == "string" and value ~= ""
end

local function first_text(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if is_text(value) then
      return value
    end
  end
end

-- IAM nests: {"error":{"code":…,"message":…}}; its code may be the HTTP status.
-- What stands outside wins.
local function nested(body)
  for _, value in pairs(body) do
    if type(value) == "table" and (is_text(value.code) or is_text(value.error_code)
      or is_text(value.message) and type(value.code) == "number") then
      return value
    end
  end
  return {}
end

--- Read the codes and the text of an error body, whichever shape it has.
-- @tparam string text the body as received
-- @treturn table `{api_code=, error_code=, text=}`; `text` is always there
function M.read_error_body(text)
  local body = M.json(text)
  if type(body) ~= "table" then
    local shown = text == "" and "an empty body"
      or ("not JSON: \"" .. M.excerpt(redact(text)) .. "\"")
    return { text = shown, not_json = true }
  end
  local inner = nested(body)
  local generic = first_text(body.code, inner.error_code, inner.code)
  local detail = first_text(body.message)
  local summary = first_text(body.error_msg, body.errorMessage)
  if summary and detail and detail ~= summary then
    summary = summary .. ", " .. detail
  end
  -- All of it on one line, but for what a terminal could obey.
  local line = redact(summary or detail or first_text(inner.error_msg, inner.message, body.reason)
    or M.excerpt(redact(text))):sub(1, MAX_TEXT):gsub("%s+", " ")
  line = width.clean_line(line):gsub("%.?%s*$", "")
  return {
    api_code = first_text(body.errorCode, body.error_code, generic),
    error_code = first_text(body.error_code, body.errorCode, generic),
    text = line,
    request_id = first_text(body.request_id),
  }
end

local function matches(text, ...)
  text = values.lower(text)
  for i = 1, select("#", ...) do
    if text:find((select(i, ...)), 1, true) then
      return true
    end
  end
  return false
end

local function code_of_401(read)
  if matches(read.text, "signature expired") then
    return "CLOCK_SKEW"
  elseif matches(read.text, "failed to reach the limit") then
    return "ACCESS_KEY_LOCKED"
  end
  return "UNAUTHENTICATED"
end

-- 429 is not always throttling: CCE also uses it for a locked resource and for
-- a balance that is too low.
local function code_of_429(read)
  local api, code = read.api_code or "", read.error_code or ""
  if code:match("^APIGW?%.0308$") or api:match("^CCE%.%d%d429001$")
    or matches(read.text, "throttling", "ratelimit", "too many requests") or api == "" then
    return "THROTTLED"
  elseif api:match("^CCE%.%d%d429002$") then
    return "RESOURCE_LOCKED"
  end
  return "REQUEST_REJECTED"
end

local by_status = {
  [400] = function() return "BAD_REQUEST" end,
  [401] = code_of_401,
  [403] = function() return "PERMISSION_DENIED" end,
  [404] = function(read)
    return (read.error_code or ""):find "^APIGW?%.0101$" and "API_NOT_FOUND" or "NOT_FOUND"
  end,
  [409] = function() return "CONFLICT" end,
  [429] = code_of_429,
}

--- The clocks that a "signature expired" message names.
-- @tparam string text
-- @treturn[1] number unix time of the signature
-- @treturn[1] number unix time of the server
-- @treturn[2] nil when the text names none
function M.clocks(text)
  local signed = times.parse(text:match "signature time:(%d+T%d+Z)")
  local server = times.parse(text:match "server time:(%d+T%d+Z)")
  if signed and server then return signed, server end
end

--- Whether a refusal says that a token, or temporary keys, came to their end.
-- @tparam table err of `to_error`
-- @treturn boolean
function M.is_expired_token(err)
  if err.code ~= "UNAUTHENTICATED" then return false end
  local text = values.lower(err.detail or "")
  return text:find("decrypt token fail", 1, true) ~= nil
    or text:find("token.-expired") ~= nil or text:find("expired.-token") ~= nil
end

-- Codes of the gateway for what is wrong with a signature or its key.
local GATEWAY_401 = "^APIGW?%.03%d%d$"

--- What an answer tells of the access key that signed the request. Only the refusals
-- of the gateway and of IAM themselves are about the key: a clock that is off and a
-- token that has ended are not, nor is what CCE refuses.
-- @tparam table err of `to_error`
-- @tparam ?string service "iam", "sts", …; nil for CCE
-- @treturn ?string "refused"; "accepted": the answer came from behind the gateway; nil:
--   it tells nothing
function M.verdict_on_key(err, service)
  if err.status ~= 401 then
    local is_of_service = err.api_code and not err.api_code:find "^APIG" and err.status < 500
    return is_of_service and err.status ~= 429 and "accepted" or nil
  elseif err.code == "ACCESS_KEY_LOCKED" then
    return "refused"
  elseif err.code ~= "UNAUTHENTICATED" or M.is_expired_token(err) then
    return nil
  end
  local is_gateways = (err.error_code or ""):find(GATEWAY_401) ~= nil
  return (is_gateways or service == "iam" or service == "sts") and "refused" or nil
end

local SECONDS = { second = 1, minute = 60, hour = 3600, day = 86400 }

--- The window of a throttling message ("limit:200,time:5 minute"), in seconds.
-- @tparam string text
-- @treturn ?number nil when the text names none
function M.throttling_window(text)
  local count, unit = text:match("ratelimit,limit:%d+,time:(%d*) ?(%a+)")
  local seconds = unit and SECONDS[unit:gsub("s$", "")]
  return seconds and seconds * (tonumber(count) or 1)
end

-- The documented windows are of one minute and more. A call that comes back sooner is counted
-- again, and never gets through.
local DEFAULT_WINDOW = 60

-- What asks for more asks for this: 400 digits are no number to count with.
local LONGEST_WAIT = 366 * 86400

-- A date is read by the server's own clock, for this machine's may be off.
local function retry_after(code, response, read)
  local value = response.headers["retry-after"] or ""
  local moment, now = times.parse_http(value), times.parse_http(response.headers["date"])
  local seconds = tonumber(value:match("^%d+$")) or moment and now and math.max(0, moment - now)
  seconds = seconds or M.throttling_window(read.text) or code == "THROTTLED" and DEFAULT_WINDOW
  return seconds and math.min(seconds, LONGEST_WAIT) or nil
end

local RETRYABLE = {
  SERVER_ERROR = true, THROTTLED = true, RESOURCE_LOCKED = true, CLOCK_SKEW = true,
}

--- The error of an answer whose status is not 2xx.
-- @tparam string what the call and its target, for the message
-- @tparam table request a request of `core.operation`
-- @tparam table response `{status=, headers=, body=}`
-- @treturn table err
function M.to_error(what, request, response)
  local read = M.read_error_body(response.body)
  local status, of_status = response.status, by_status[response.status]
  local code = of_status and of_status(read) or status >= 500 and "SERVER_ERROR"
    or status >= 400 and "REQUEST_REJECTED" or "RESPONSE_INVALID"
  local request_id = response.headers["x-request-id"] or read.request_id
  local named = read.error_code ~= read.api_code
    and read.api_code .. " " .. read.error_code or read.api_code
  local message = ("%s: HTTP %d%s: %s"):format(what, response.status,
    named and " " .. M.excerpt(named) or "", (read.text:gsub(",? ?canonicalRequest:.*$", "")))
  if request_id then
    message = message .. " (request id " .. M.excerpt(request_id) .. ")"
  end
  local signed, server = M.clocks(read.text)
  local skew = signed and signed - server
  return errors.new(code, message, {
    operation = request.operation,
    status = response.status,
    api_code = read.api_code,
    error_code = read.error_code,
    request_id = request_id,
    retryable = RETRYABLE[code] or false,
    maybe_applied = request.mutating and response.status >= 500 or false,
    hint = hints.of_answer(code, read.text, request, skew)
      or hints.of_missing(code, what:match " cluster (%S+)$"),
    retry_after = retry_after(code, response, read),
    detail = read.text,
  })
end

return M
