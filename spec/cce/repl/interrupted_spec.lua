local ledgers = require "cce.repl.interrupted"

describe("what an interrupted command had done", function()
  it("counts what changes something, and nothing else", function()
    local ledger = ledgers.new()
    assert.truthy(ledger:text():find "^nothing that changes anything")
    ledger:note { type = "attempt", operation = "list_clusters", status = 200 }
    ledger:note { type = "notice", notice = "x" }
    assert.truthy(ledger:text():find "^nothing that changes anything")
    ledger:note { type = "attempt", operation = "rotate_credentials", status = 202 }
    ledger:note { type = "attempt", operation = "rotate_credentials", code = "CONFLICT" }
    ledger:note { type = "attempt", operation = "revoke_cert", status = 200 }
    assert.truthy(ledger:text():find(
      "rotate_credentials: 1 done, 1 failed; revoke_cert: 1 done;", 1, true))
    ledger:clear()
    assert.truthy(ledger:text():find "^nothing that changes anything")
  end)
end)
