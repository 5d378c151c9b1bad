--- Whom --user and --agency mean, and whether that is who types.
-- @module cce.cli.input.principal
-- @local
local chosen = require "cce.cli.input.chosen"
local errors = require "cce.error"
local identity = require "cce.api.identity"
local stands_for = require("cce.cli.output.words").stands_for

local M = {}

--- Add the options.
-- @tparam table parser of argparse
-- @treturn table option
-- @treturn table option
-- @treturn table option
function M.describe(parser)
  return stands_for(parser:option("--user", "Name or id of an IAM user.")
      :argname("USER"), "user_id"),
    stands_for(parser:option("--agency", "Name or id of an agency."):argname("AGENCY"),
      "agency_id"),
    parser:option("--users", "Users by name or id, one a line; - is standard input.")
      :argname("FILE")
end

local function looks_like_id(word)
  return #word >= 32 and word:match "^%x[%x-]*$" ~= nil
end

local function fail(message, hint)
  return errors.fail("INVALID_ARGUMENT", message, { hint = hint, retryable = false,
    maybe_applied = false })
end

-- What could not be looked up is not what is not there.
local function not_known(word, message, err)
  return errors.fail(err.code, ("whom '%s' names cannot be looked up: %s"):format(word, message), {
    hint = err.hint or "Give the id", retryable = err.retryable, maybe_applied = false })
end

-- An id beats a name: names can be given to any principal, ids cannot.
local function find(kind, word, list)
  local found, names = {}, {}
  for _, each in ipairs(list) do
    if each.id == word then return each end
    if each.name == word then found[#found + 1] = each end
    names[#names + 1] = each.name
  end
  if #found == 1 then return found[1] end
  if #found > 1 then
    local ids = {}
    for i, each in ipairs(found) do ids[i] = each.id end
    return fail(("%d of kind %s are named '%s': %s"):format(#found, kind, word,
      table.concat(ids, ", ")), "Give the id of the one that is meant")
  end
  if looks_like_id(word) then return { id = word, unknown = true } end
  local near = require("cce.base.options").nearest(word, names)[1]
  return fail(("there is no %s '%s', and it is no id"):format(kind, word),
    near and ("Did you mean '%s'?"):format(near)
      or ("See: cce %s; who was deleted is meant by the id: cce deleted"):format(
        kind == "agency" and "agencies" or "users"))
end

--- Whom `--user`, `--agency` or `--users` mean.
-- @tparam cce.cli.ui ui
-- @tparam cce.client client
-- @tparam table args
-- @treturn[1] {table,...} each once, `{kind=, id=, name=, unknown=}`, where `unknown` has the form
--   of an id, and nobody in IAM has it; none, where none is given
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.list(ui, client, args)
  local kind, words = args.agency and "agency" or "user", { args.agency or args.user }
  if args.users then
    local problem, why
    words, problem, why = chosen.words_of(args.users, "users")
    if not words then return nil, problem, why end
  end
  if #words == 0 then return {} end
  local list, seen = {}, {}
  local all, message, err = client[kind == "user" and "list_users" or "list_agencies"](client)
  for _, word in ipairs(words) do
    local found, problem, why
    if all then
      found, problem, why = find(kind, word, all)
    elseif looks_like_id(word) then
      ui:say(("whether there is such a %s was not checked: %s"):format(kind, message))
      found = { id = word }
    else
      found, problem, why = not_known(word, message, err)
    end
    if not found then return nil, problem, why end
    if found.id ~= word then ui:say(("%s %s is %s"):format(kind, word, found.id)) end
    if not seen[found.id] then
      seen[found.id] = true
      list[#list + 1] = { kind = kind, id = found.id, name = found.name, unknown = found.unknown }
    end
  end
  return list
end

-- Users, agencies, and who was deleted; what cannot be listed is said. And the error of the
-- first list that is missing.
local function everybody(ui, client)
  local all, seen, problem = {}, {}, nil
  local function add(list, message, err, kind)
    if not list then
      problem = problem or err
      return ui:say(("not all names are known: %s"):format(message))
    end
    for _, each in ipairs(list) do
      if not seen[each.id] then
        seen[each.id] = true
        all[#all + 1] = { id = each.id, name = each.name, kind = kind or each.kind,
          deleted = not kind and each.time or nil }
      end
    end
  end
  local list, message, err = client:list_users()
  add(list, message, err, "user")
  list, message, err = client:list_agencies()
  add(list, message, err, "agency")
  list, message, err = client:deleted_principals()
  add(list, message, err)
  return all, problem
end

--- Whom some words mean: users or agencies, by name or id, those too who were deleted in
-- the last seven days.
-- @tparam cce.cli.ui ui
-- @tparam cce.client client
-- @tparam {string,...} words
-- @treturn[1] {table,...} each once: `{kind=, id=, name=, deleted=}`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.any(ui, client, words)
  local list, seen = {}, {}
  local all, problem = everybody(ui, client)
  for _, word in ipairs(words) do
    local found, message, err = find("user or agency", word, all)
    if not found and problem then return not_known(word, problem.message, problem) end
    if not found then return nil, message, err end
    if not seen[found.id] then
      seen[found.id] = true
      list[#list + 1] = { kind = found.kind or "user", id = found.id, name = found.name,
        deleted = found.deleted }
      if found.id ~= word then ui:say(("%s is %s %s"):format(word, found.kind, found.id)) end
    end
  end
  return list
end

--- Whether a principal is who makes the calls of a client, as far as that is known.
-- @tparam cce.client client
-- @tparam string id
-- @treturn boolean
function M.is_self(client, id)
  local caller = identity.of(client)
  return caller ~= nil and caller.id == id
end

--- Ask a person who would cut their own certificates.
-- @tparam cce.cli.ui ui
-- @tparam table args `allow_self`
-- @tparam string what will happen
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] int exit code
function M.confirm_self(ui, args, what)
  local sure, code = ui:confirm { word = "MYSELF", yes = args.allow_self,
    text = "This is you: " .. what, hint = "--allow-self confirms it" }
  if sure then args.allow_self = true end
  return sure, code
end

return M
