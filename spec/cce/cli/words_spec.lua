local words = require "cce.cli.words"

describe("a hint of the library", function()
  it("names the options that are typed", function()
    for text, typed in pairs {
      ["Give allow_self=true if that is meant"] = "Give --allow-self if that is meant",
      ['Give region="cn-north-4" or endpoint="https://…"'] =
        "Give --region cn-north-4 or --endpoint https://…",
      ['see client:wait_job("j-1")'] = "see cce jobs wait j-1",
      ["a failed canary; canary=0 goes on"] = "a failed canary; --canary 0 goes on",
      ["certificate_expiration_time=0 needs it"] = "--expiration-hours=0 needs it",
      ["Look at client:list_clusters()"] = "Look at cce clusters",
    } do
      assert.equal(typed, words.typed(text))
    end
  end)

  it("is left alone where it names none", function()
    for _, text in ipairs { "The rerun=1 of it", "a region of its own", "canary", "endpoint" } do
      assert.equal(text, words.typed(text))
    end
  end)
end)
