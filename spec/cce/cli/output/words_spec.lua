if not pcall(require, "argparse") then
  describe("a hint of the library", function() pending "needs argparse" end)
  return
end

local words = require "cce.cli.output.words"

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
      { "rotate", "not waited for: wait=false", "not waited for: --no-wait" },
      { "rotate", "rate_limit=false: as fast as can be", "--rate none: as fast as can be" },
      { "obtain", "duration=<days> or expire_at=<unix time>",
        "--days <days> or --until <time>" },
      { "clusters", "Give project_id=", "Give --project" },
      { "clusters", "Give credentials={ak=…, sk=…} or token=…",
        "Give credentials = … in the profile or --token-file …" },
      { "clusters", 'the address of IAM, endpoints={iam="https://…"}',
        "the address of IAM, iam_endpoint = https://… in the profile" },
      { "obtain", "duration is 0; it must be", "--days is 0; it must be" },
      { "obtain", "duration is 0; it must be 1 to 9, or -1 for the longest",
        "--days is 0; it must be 1 to 9, or max for the longest" },
      { "rotate", "rate_limit is 'x', but must be a count, or false",
        "--rate is 'x', but must be a count, or none" },
      { "rotate", "cert_content.ca: no PEM; cert_content.cert: no PEM",
        "--ca: no PEM; --cert: no PEM" },
      { "obtain", "expire_at is 1577836800; it must be a unix time in whole seconds",
        "--until is 2020-01-01T00:00:00Z; it must be a time" },
      { "obtain", "its duration is not known", "its duration is not known" },
      { "clusters", "cluster c-1: status is Hibernating", "cluster c-1: status is Hibernating" },
    } do
      assert.equal(each[3], words.typed(each[2], each[1]))
    end
  end)

  it("names commands for calls", function()
    for text, typed in pairs {
      ['see client:wait_job("j-1")'] = "see cce jobs wait j-1",
      ["look again with client:show_job(id)"] = "look again with cce jobs show ID",
      ["Look at client:list_clusters()."] = "Look at cce clusters.",
      ['its job (client:show_cluster("c-1").raw.status.jobID) is another'] =
        "its job (cce clusters c-1) is another",
      ["see client:show_cluster(id).status, and wait"] = "see cce clusters ID, and wait",
      ['cancel it with schedule:cancel("e1")'] = "cancel it with cce schedule cancel e1",
      ['schedule:retry("e1", {retry_failed=true}) resends it'] =
        "cce schedule retry e1 --retry-failed resends it",
      ["cce.workflow.rotate rotates now"] = "cce rotate rotates now",
      ['cce.workflow.restore(client, {undo="/a/b"}) puts it (back)'] =
        "cce revoke --undo /a/b puts it (back)",
      -- As a terminal's width breaks it.
      ['in 4 of 4; cce.workflow.restore(client,\n    {undo="/a/b"}) puts them back'] =
        "in 4 of 4; cce revoke --undo /a/b puts them back",
      ["goes on with it: schedule:run()"] = "goes on with it: cce schedule run",
      ["or merge into it: kubeconfig:save(path, {merge=true})"] = "or merge into it: --merge-into",
    } do
      assert.equal(typed, words.typed(text, "schedule"))
    end
  end)

  -- What Lua alone has: { ak=… } of a function that is given, and the like, no command reaches.
  it("can be typed by some command, whatever the library says", function()
    local cli, count = require "cce.cli", 0
    local function is_lua(text)
      return text:find '[%a_]+=["{]' or text:find "[%a_]+=true%f[^%w]"
        or text:find "%a:[%a_]+%(" and true
    end
    local function can_be_typed(text)
      for _, command in ipairs(cli.commands) do
        if not is_lua(words.typed(text, command)) then return true end
      end
    end
    local pipe = io.popen "find lua/cce -name '*.lua' | grep -Ev '^lua/cce/(cli|repl|sim)/'"
    for path in pipe:lines() do
      for line in io.lines(path) do
        local code = line:find "^%s*%-%-" and "" or line:gsub('\\"', "\1")
        for quoted in code:gmatch '"([^"]*)"' do
          local literal = quoted:gsub("\1", '"'):gsub("%%s", "iam")
          -- A sentence, not a header or a query.
          if is_lua(literal) and literal:find "%a %a" and not literal:find "etcdctl" then
            count = count + 1
            assert.truthy(can_be_typed(literal), path .. ": " .. literal)
          end
        end
      end
    end
    pipe:close()
    assert.is_true(count > 15)
  end)

  it("is typed wherever a report has sentences, and nowhere else", function()
    local function report(text)
      return { stopped = text, notes = { text }, plan = { text, 5 }, name = "allow_self=true",
        failed = { { message = text, hint = text, name = "allow_self=true" } } }
    end
    local given = report "Give allow_self=true"
    assert.equal(given, words.typed_report(given, "revoke"))
    assert.same(report "Give --allow-self", given)
  end)

  it("is left alone where it names none of the command's", function()
    for _, text in ipairs { "The rerun=1 of it", "a region of its own", "canary", "endpoint",
      "client:no_such_call()", "allow_self=true" } do
      assert.equal(text, words.typed(text, "clusters"))
    end
  end)
end)
