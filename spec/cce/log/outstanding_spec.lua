local outstanding = require "cce.log.outstanding"

describe("what an interrupted command had done", function()
  it("counts what changes something, and nothing else", function()
    local sent = outstanding.new()
    assert.truthy(sent:text():find "^nothing that changes anything")
    sent:note { type = "attempt", operation = "list_clusters", status = 200 }
    sent:note { type = "notice", notice = "x" }
    assert.truthy(sent:text():find "^nothing that changes anything")
    sent:note { type = "attempt", operation = "rotate_credentials", status = 202 }
    sent:note { type = "attempt", operation = "rotate_credentials", code = "CONFLICT" }
    sent:note { type = "attempt", operation = "revoke_cert", status = 200 }
    assert.truthy(sent:text():find(
      "rotate_credentials: 1 done, 1 failed; revoke_cert: 1 done;", 1, true))
    assert.is_false(sent:is_empty())
    sent:clear()
    assert.is_true(sent:is_empty())
    assert.truthy(sent:text():find "^nothing that changes anything")
  end)

  it("names the clusters, the first ten of them", function()
    local sent = outstanding.new()
    for i = 1, 12 do
      sent:note { type = "attempt", operation = "revoke_cert", cluster_id = "c" .. i }
    end
    assert.matches("revoke_cert: 12 done (c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 and 2 more);",
      sent:text(), 1, true)
  end)

  it("says where the run is written down", function()
    local sent = outstanding.new()
    sent:note { type = "rotation_planned", journal = "/x/rotate.journal" }
    assert.matches("the same call goes on by its journal, /x/rotate.journal$", sent:text())
    sent:clear()
    assert.is_nil(sent:text():find("journal", 1, true))
  end)
end)
