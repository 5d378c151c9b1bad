local outcome = require "cce.workflow.outcome"

describe("the outcome of an item of a run", function()
  it("follows from the last word of the journal, and its code", function()
    for expected, lines in pairs {
      pending = { { what = "planned" }, { what = "pending", code = "THROTTLED" },
        { what = "refused", code = "PERMISSION_DENIED" }, { what = "refused" },
        { what = "refused", code = "UNAUTHENTICATED" }, { what = "refused", code = "SERVER_ERROR" },
        { what = "refused", code = "RESOURCE_LOCKED" }, { what = "refused", code = "TIMEOUT" },
        -- As 0.1.0 wrote them.
        { what = "failed", code = "PERMISSION_DENIED" }, { what = "skipped", code = "CONFLICT" },
        { what = "skipped", code = "CANCELLED" } },
      failed = { { what = "refused", code = "BAD_REQUEST" },
        { what = "refused", code = "NOT_FOUND" }, { what = "failed", code = "JOB_FAILED" },
        { what = "refused", code = "INVALID_ARGUMENT" }, { what = "refused", code = "UNSUPPORTED" },
        { what = "refused", code = "INVALID_CERTIFICATE" },
        { what = "refused", code = "INVALID_KEY" }, { what = "refused", code = "KEY_MISMATCH" },
        { what = "failed", job = "j" },
        { what = "failed", code = "NOT_REVOKED" }, { what = "given_up" } },
      skipped = { { what = "skipped" }, { what = "skipped", code = "UNSUPPORTED" } },
      uncertain = { { what = "intent" }, { what = "unknown" }, { what = "uncertain" },
        { what = "a word of a later version" } },
      accepted = { { what = "accepted" }, { what = "settled" }, { what = "repair" },
        { what = "uncertain", job = "j" } },
      ok = { { what = "ok" }, { what = "reissued" },
        { what = "ok", principal = "u", moved_to = "two" } },
      moved = { { what = "planned", moved_to = "two" },
        { what = "uncertain", principal = "u", moved_to = "two" } },
    } do
      for _, line in ipairs(lines) do
        assert.equal(expected, outcome.of_line(line), line.what .. " " .. tostring(line.code))
      end
    end
  end)

  it("is no hand-over where a request may have been accepted", function()
    assert.equal("uncertain", outcome.of_line { what = "intent", moved_to = "two" })
  end)

  it("leaves a run open until all are final", function()
    local function is_open(line, opts) return outcome.is_open({ order = { line } }, opts) end
    for _, what in ipairs { "planned", "intent", "accepted", "uncertain" } do
      assert.is_true(is_open { what = what })
    end
    for _, what in ipairs { "ok", "given_up", "skipped" } do
      assert.is_false(is_open { what = what })
    end
    assert.is_false(is_open { what = "planned", moved_to = "two" })
    assert.is_true(is_open { what = "ok", owed = true })
    assert.is_true(is_open({ what = "ok" }, { reissue = {} }))
    assert.is_false(is_open({ what = "ok" }, {}))
    assert.is_false(is_open({ what = "ok", owed = false }, { reissue = {} }))
    assert.is_false(is_open({ what = "reissued", reissued = "path" }, { reissue = {} }))
    assert.is_false(is_open({ what = "skipped", owed = true }, { retry_failed = true }))
    local failed = { what = "failed", job = "j" }
    assert.is_false(is_open(failed))
    assert.is_false(is_open(failed, {}))
    assert.is_true(is_open(failed, { retry_failed = true }))
    assert.is_false(is_open({ what = "given_up" }, { retry_failed = true }))
  end)

  it("counts for max_failures when it was refused, not when it is not there yet", function()
    local function counts(state, code)
      return outcome.counts { state = state, err = code and { code = code } }
    end
    for _, code in ipairs { "UNAUTHENTICATED", "ACCESS_KEY_LOCKED", "PERMISSION_DENIED",
      "SERVER_ERROR" } do
      assert.is_true(counts("pending", code), code)
    end
    for _, code in ipairs { "CONFLICT", "RESOURCE_LOCKED", "THROTTLED", "CONNECT_FAILED" } do
      assert.is_false(counts("pending", code), code)
    end
    assert.is_true(counts("failed", "JOB_FAILED"))
    assert.is_true(counts "uncertain")
    assert.is_false(counts "pending")
    assert.is_false(counts "skipped")
    assert.is_false(counts("ok", "PERMISSION_DENIED"))
  end)

  it("is known to be of a key, or of its cluster alone", function()
    local function judged(code)
      local err = code and { code = code }
      return { outcome.is_key_refused(err), outcome.is_of_cluster(err) }
    end
    for code, expected in pairs { UNAUTHENTICATED = { true, false },
      ACCESS_KEY_LOCKED = { true, false }, PERMISSION_DENIED = { false, false },
      CONFLICT = { false, true }, RESOURCE_LOCKED = { false, true } } do
      assert.same(expected, judged(code), code)
    end
    assert.same({ false, false }, judged())
  end)
end)
