-- Secrets and signing when memory runs out.
local sweep = require "spec.support.shared.alloc_sweep"
local core = require "cce.core"

-- The key is longer than what signing has room for on the stack.
local KEYS = { ak = "EXAMPLEACCESSKEY0001", sk = ("example-secret-key-for-tests-only"):rep(9) }

local REQUEST = {
  method = "POST",
  host = "cce.example.com",
  path = "/api/v3/projects/p/clusters/c/clustercert",
  query = { { "b", "2" }, { "a", "ü ß" } },
  headers = { ["Content-Type"] = "application/json", ["X-Project-Id"] = "p" },
  body = '{"duration":1}',
  date = "20260102T030405Z",
}

local function signer(options)
  local all = { region = options.region, service = options.service, scheme = options.scheme,
    algorithm = options.algorithm, ak = KEYS.ak, sk = KEYS.sk }
  return core.signer(all)
end

local function close(object)
  if object then
    object:close()
  end
end

sweep {
  name = "make and close a secret",
  action = function()
    local secret = core.secret "example-secret-key-for-tests-only"
    secret:close()
    return true
  end,
}

for _, options in ipairs {
  { algorithm = "SDK-HMAC-SHA256" },
  { algorithm = "SDK-HMAC-SM3" },
  { algorithm = "V11-HMAC-SHA256", region = "example-1", service = "cce" },
  { algorithm = "SDK-HMAC-SHA256", scheme = "scoped", region = "example-1", service = "cce" },
} do
  local name = options.algorithm .. (options.scheme and " (scoped)" or "")
  local right = assert(signer(options)):sign(REQUEST).Authorization

  sweep {
    name = "make a signer for " .. name,
    action = function()
      local made, message, code = signer(options)
      close(made)
      return made and true, message, code
    end,
  }

  sweep {
    name = "sign with " .. name,
    setup = function()
      return assert(signer(options))
    end,
    action = function(made)
      local headers, message, code = made:sign(REQUEST)
      assert(not headers or headers.Authorization == right, "another signature")
      return headers, message, code
    end,
    teardown = close,
  }

  sweep {
    name = "explain with " .. name,
    setup = function()
      return assert(signer(options))
    end,
    action = function(made)
      return made:explain(REQUEST)
    end,
    teardown = close,
  }

  sweep {
    name = "prepare a request and sign it with " .. name,
    setup = function()
      return assert(signer(options))
    end,
    action = function(made)
      local prepared, message, code = made:prepare(REQUEST)
      if not prepared then return nil, message, code end
      local headers
      headers, message, code = prepared:sign { body = "other" }
      prepared:close()
      return headers, message, code
    end,
    teardown = close,
  }
end
