if not pcall(require, "argparse") then
  describe("a hint of the library", function() pending "needs argparse" end)
  return
end

local words = require "cce.cli.words"

describe("a hint of the library", function()
  it("names the options of the command that was typed", function()
    for _, each in ipairs {
      { "revoke", "Give allow_self=true if that is meant", "Give --allow-self if that is meant" },
      { "clusters", 'Give region="cn-north-4" or endpoint="https://…"',
        "Give --region cn-north-4 or --endpoint https://…" },
      { "rotate", "a failed canary; canary=0 goes on", "a failed canary; --canary 0 goes on" },
      { "rotate", "certificate_expiration_time=0 needs accept_token_loss=true",
        "--expiration-hours 0 needs --accept-token-loss" },
      { "rotate", "retry_failed=true sends again", "--retry-failed sends again" },
      { "obtain", "duration=<days> or expire_at=<unix time>",
        "--days <days> or --until <unix time>" },
      { "clusters", "Give project_id=", "Give --project" },
    } do
      assert.equal(each[3], words.typed(each[2], each[1]))
    end
  end)

  it("names commands for calls", function()
    for text, typed in pairs {
      ['see client:wait_job("j-1")'] = "see cce jobs wait j-1",
      ["look again with client:show_job(id)"] = "look again with cce jobs show ID",
      ["Look at client:list_clusters()"] = "Look at cce clusters",
      ["see client:show_cluster(id).status, and wait"] = "see cce clusters ID, and wait",
      ['cancel it with schedule:cancel("e1")'] = "cancel it with cce schedule cancel e1",
      ['schedule:retry("e1", {retry_failed=true}) resends it'] =
        "cce schedule retry e1 --retry-failed resends it",
      ["goes on with it: schedule:run()"] = "goes on with it: cce schedule run",
      ["or merge into it: kubeconfig:save(path, {merge=true})"] = "or merge into it: --merge-into",
    } do
      assert.equal(typed, words.typed(text, "schedule"))
    end
  end)

  it("is left alone where it names none of the command's", function()
    for _, text in ipairs { "The rerun=1 of it", "a region of its own", "canary", "endpoint",
      "client:no_such_call()", "allow_self=true" } do
      assert.equal(text, words.typed(text, "clusters"))
    end
  end)
end)
