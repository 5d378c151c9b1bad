--- The three ways in which the APIs write a moment. All are UTC; all numbers are unix seconds.
local M = {}

-- Days since 1970-01-01 of a date of the Gregorian calendar (proleptic, no table needed).
local function days_from_civil(year, month, day)
  if month <= 2 then
    year = year - 1
  end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4)
    - math.floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

-- nil when the fields name no moment (31 February, 25 o'clock).
local function from_fields(...)
  local f = { ... }
  for i = 1, 6 do
    f[i] = tonumber(f[i])
  end
  local seconds = days_from_civil(f[1], f[2], f[3]) * 86400 + f[4] * 3600 + f[5] * 60 + f[6]
  local back = os.date("!*t", seconds)
  if back.month == f[2] and back.day == f[3] and back.hour == f[4] and back.min == f[5]
    and back.sec == f[6] then
    return seconds
  end
end

--- X-Sdk-Date: 20260102T030405Z.
function M.from_sdk(text)
  local y, mo, d, h, mi, s = text:match("^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$")
  return y and from_fields(y, mo, d, h, mi, s)
end

function M.to_sdk(seconds)
  return os.date("!%Y%m%dT%H%M%SZ", math.floor(seconds))
end

--- CCE's bodies: 2026-01-02 03:04:05 +0000 UTC, with a fraction where CCE sends it.
function M.from_cce(text)
  local y, mo, d, h, mi, s =
    text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d) (%d%d):(%d%d):(%d%d) %+0000 UTC$")
  return y and from_fields(y, mo, d, h, mi, s)
end

function M.to_cce(seconds)
  local whole = math.floor(seconds)
  local micro = math.floor((seconds - whole) * 1e6)
  return os.date("!%Y-%m-%d %H:%M:%S", whole) .. (".%06d +0000 UTC"):format(micro)
end

--- Kubernetes: 2026-01-02T03:04:05Z.
function M.to_iso(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(seconds))
end

--- HTTP's Date header.
function M.to_http(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(seconds))
end

--- The same date and time some years later; 29 February becomes 1 March.
function M.add_years(seconds, years)
  local t = os.date("!*t", math.floor(seconds))
  local days = days_from_civil(t.year + years, t.month, t.day)
  return days * 86400 + t.hour * 3600 + t.min * 60 + t.sec
end

return M
