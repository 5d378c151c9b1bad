--- `remove=true`: the principals of a revocation leave the bindings of its clusters, and
-- AccessPolicies.
--
-- Certificates are cut first: they do not wait for this. Then all is looked at, what will
-- be taken is written to the undo file, and taken; then all is looked at again, and only who is
-- nowhere any more is done. What was not known, or not taken, is owed by the run.
-- @module cce.workflow.revoke.removal
-- @local
local access = require "cce.workflow.rights.access"
local bindings = require "cce.workflow.rights.bindings"
local directories = require "cce.base.directories"
local items = require "cce.workflow.revoke.item"
local json_line = require "cce.base.json_line"
local map = require "cce.map"
local policies = require "cce.workflow.rights.policies"
local principals = require "cce.workflow.revoke.principals"
local show = require "cce.text.show"
local targets = require "cce.workflow.targets"
local undos = require "cce.workflow.rights.undo"

local M = {}

-- Somebody may bind a principal again meanwhile.
local ROUNDS = 3

-- ---- where ---------------------------------------------------------------------

--- Prove that the undo file can be written, and find the kubeconfigs. A dry run makes no
-- directory for one.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] table err
function M.prepare(run)
  local message, err
  run.access, message, err = access.new(run.opts.admin)
  if not run.access then return nil, message, err end
  local known = run.known or {}
  local path, id = known.undo or run.opts.undo, known.undo_id or json_line.new_id()
  local is_dry = run.opts.dry_run and not path
  if not path then
    local ok = is_dry
    if not ok then ok, message, err = directories.make(directories.state()) end
    if not ok then return nil, message, err end
    path = ("%s/removed-%s.json"):format(directories.state(), id)
  end
  -- A journal may be gone on with from elsewhere.
  run.undo, message, err = undos.open(directories.absolute(path), id, run.clock(), is_dry)
  if not run.undo then return nil, message, err end
  return true
end

-- Each cluster once, with the items whose removal is not done.
local function sites_of(run)
  local sites, by_id = {}, {}
  for _, item in ipairs(run.items) do
    if not item.rights and item.state ~= "moved" and not item.given_up then
      local site = by_id[item.id]
      if not site then
        site = { id = item.id, name = item.name, client = item.client, cluster = item.cluster,
          project_id = item.project_id, items = {}, wanted = {}, found = {},
          left = {}, perhaps = {} }
        by_id[item.id] = site
        sites[#sites + 1] = site
      end
      site.items[#site.items + 1] = item
      site.wanted[item.principal.id] = item.principal
    end
  end
  return sites
end

-- ---- looking -------------------------------------------------------------------

local function add(set, id, text)
  set[id] = set[id] or {}
  if not set[id][text] then
    set[id][text] = true
    table.insert(set[id], text)
  end
end

-- Whom of the wanted a binding or policy names; nil: nobody.
local function taken_of(object, wanted)
  local taken
  for _, subject in ipairs(object.subjects) do
    local id = undos.principal_of(subject)
    if wanted[id] and (object.kind ~= "AccessPolicy" or object.type == wanted[id].kind) then
      taken = taken or {}
      taken[id] = true
    end
  end
  return taken
end

-- Rights through a group stay. Which groups somebody is in, a certificate of theirs says.
local function note_groups(site, binding)
  for _, subject in ipairs(binding.subjects) do
    local group = subject.kind == "Group" and tostring(subject.name)
    local is_all = group == "system:authenticated"
    if group and not (is_all and binding.is_default) then
      for id, principal in pairs(site.wanted) do
        local text = ("%s (group %s)"):format(bindings.text(binding), group)
        if is_all or principal.groups and principal.groups[group] then
          add(site.left, id, text)
        elseif not principal.groups and not group:find "^system:" then
          add(site.perhaps, id, text)
        end
      end
    end
  end
end

local function look(run, site)
  site.found, site.left, site.perhaps = {}, {}, {}
  local list
  -- A journal knows no addresses.
  if not site.cluster.raw and run.opts.admin then
    site.cluster = site.client:show_cluster(site.id) or site.cluster
  end
  site.access, site.message, site.err = run.access:of(site)
  if site.access then list, site.message, site.err = bindings.list(site.access) end
  for _, binding in ipairs(list or {}) do
    if taken_of(binding, site.wanted) then site.found[#site.found + 1] = binding end
    note_groups(site, binding)
  end
  site.is_known = list ~= nil
end

-- A policy of all clusters is one of these when these are all.
local function reaches_only(run, policy, chosen)
  if not policy.clusters["*"] then
    for id in pairs(policy.clusters) do
      if not chosen[id] then return false end
    end
    return true
  end
  run.all_clusters = run.all_clusters or targets.all(run.clients) or {}
  for _, each in ipairs(run.all_clusters) do
    if not chosen[each.id] then return false end
  end
  return #run.all_clusters > 0
end

-- The AccessPolicies that name somebody in one of these clusters, or a group, each once.
local function look_at_policies(run, sites)
  local chosen, wanted, seen, found = {}, {}, {}, { list = {}, kept = {}, problem = {} }
  for _, item in ipairs(run.items) do chosen[item.id] = true end
  for _, site in ipairs(sites) do
    for id, principal in pairs(site.wanted) do wanted[id] = principal end
  end
  for _, client in ipairs(run.clients) do
    local list, message, err = policies.list(client)
    if not list then found.problem[client] = { message, err } end
    for _, policy in ipairs(list or {}) do
      local is_here = policy.clusters["*"]
      for id in pairs(policy.clusters) do is_here = is_here or chosen[id] end
      policy.taken = taken_of(policy, wanted)
      local is_meant = policy.taken or policy.type == "group" and #policy.subjects > 0
      if is_here and is_meant and not seen[policy.id] then
        seen[policy.id], policy.client, policy.wanted = true, client, wanted
        local is_kept = not policy.taken or not reaches_only(run, policy, chosen)
        table.insert(is_kept and found.kept or found.list, policy)
      end
    end
  end
  return found
end

local function entry_of(object, taken, site)
  local entry = { kind = object.kind, namespace = object.namespace, name = object.name,
    id = object.id, role_kind = object.role.kind, role = object.role.name,
    before = object.subjects, taken = taken, clusters = object.clusters,
    namespaces = object.namespaces }
  if site then
    entry.cluster, entry.cluster_name, entry.project = site.id, site.name, site.project_id
  end
  return entry
end

local function text_of(object)
  return object.kind == "AccessPolicy" and policies.text(object) or bindings.text(object)
end

-- ---- taking --------------------------------------------------------------------

-- How `edit` of bindings and policies changes one: what is taken is on disk before.
local function taking(run, wanted, site)
  return function(now)
    local taken = taken_of(now, wanted)
    if not taken then return false end
    local ok, message, err = run.undo:record { entry_of(now, taken, site) }
    if not ok then return nil, message, err end
    return undos.without(now.subjects, taken)
  end
end

local function take_out_of_policies(run, found)
  for _, policy in ipairs(found.list) do
    local ok, said, err = policies.edit(run.pace:limited(policy.client), policy,
      taking(run, policy.wanted))
    if ok and said then run.report:note("%s", said) end
    -- Nobody is in one that was deleted meanwhile.
    if ok == nil and err.code ~= "NOT_FOUND" then policy.message, policy.err = said, err end
  end
end

local function take_out_of_bindings(run, site)
  for _ = 1, ROUNDS do
    if #site.found == 0 then return end
    local message, err
    for _, binding in ipairs(site.found) do
      local ok, problem, why = bindings.edit(site.access, binding,
        taking(run, site.wanted, site))
      if ok == nil then message, err = problem, why end
    end
    look(run, site)
    site.message, site.err = site.message or message, site.err or err
    -- The same would come again.
    if err and err.code ~= "CONFLICT" then return end
  end
end

-- What could not be looked at; nil when all was.
local function unknown_of(site, found)
  local problem = found.problem[site.client]
  if problem then
    return "AccessPolicies are not known: " .. problem[1], problem[2]
  elseif not site.is_known then
    return (site.why or "rights in the cluster are not known") .. ": " .. tostring(site.message),
      site.err
  end
end

-- Why somebody may still have rights in a cluster by what was to be taken; nil: they have none.
local function problem_of(site, found, principal)
  local unknown, why = unknown_of(site, found)
  if unknown then return unknown, why end
  for _, policy in ipairs(found.list) do
    local is_here = policy.clusters["*"] or policy.clusters[site.id]
    if policy.err and is_here and policy.taken[principal.id] then
      return text_of(policy) .. ": " .. policy.message, policy.err
    end
  end
  for _, binding in ipairs(site.found) do
    local taken = taken_of(binding, site.wanted)
    if taken[principal.id] then
      return ("still in %s: %s"):format(text_of(binding), site.message
        or "bound again meanwhile"), site.err
    end
  end
end

local function texts(set, id)
  return set and set[id] and table.concat(set[id], "; ") or nil
end

-- What the undo file has of somebody in a cluster, which was seen to be done, at whichever
-- start of the run.
local function removed_of(run, site, principal)
  local parts = {}
  for _, entry in ipairs(run.undo.entries) do
    local clusters = entry.clusters or {}
    local is_here = entry.cluster == site.id or clusters["*"] or clusters[site.id]
    if is_here and entry.taken[principal.id] then parts[#parts + 1] = text_of(entry) end
  end
  return parts[1] and table.concat(parts, "; ")
end

-- What stays on purpose is no success where it can still be used.
local function conclude(run, site, found, item)
  local principal = item.principal
  local problem, err = problem_of(site, found, principal)
  item.earlier = nil
  if problem then
    -- That certificates are cut is known all the same.
    local cut = item.state == "ok" and item.message and item.message .. "; " or ""
    item.owed, item.shortfall = true, cut .. problem
    item.shortfall_code = err and err.code or "CONFLICT"
  else
    item.removed = removed_of(run, site, principal)
    item.owed, item.rights = false, item.removed and "removed" or "none"
    local is_out = principal.can_obtain_again == "no"
    item.shortfall = item.left and not is_out and ("%s keeps rights by %s"):format(
      principals.text(principal), item.left) or nil
  end
  items.note_end(run, item)
end

-- What is named, and not touched.
local function note_what_stays(site, found)
  for id in pairs(site.wanted) do
    for _, policy in ipairs(found.kept) do
      local is_here = policy.clusters["*"] or policy.clusters[site.id]
      if is_here and policy.type == "group" then
        add(site.perhaps, id, policies.text(policy) .. " (of groups)")
      elseif is_here and policy.taken[id] then
        add(site.left, id, policies.text(policy) .. " (also of other clusters)")
      end
    end
  end
  for _, item in ipairs(site.items) do
    item.left = texts(site.left, item.principal.id)
    item.perhaps = texts(site.perhaps, item.principal.id)
  end
end

-- All sites at once; what raised an error is not known.
local function each_site(run, sites, act)
  for i, result in ipairs(map(sites, function(site)
    act(run, site)
    return true
  end, { concurrency = run.opts.concurrency })) do
    if not result.ok then
      sites[i].is_known, sites[i].message, sites[i].err = false, result.message, result.err
    end
  end
end

--- Take the principals out.
function M.take(run)
  local sites = sites_of(run)
  if run.stopped or #sites == 0 then return end
  local found = look_at_policies(run, sites)
  each_site(run, sites, look)
  local entries = {}
  for _, policy in ipairs(found.list) do entries[#entries + 1] = entry_of(policy, policy.taken) end
  for _, site in ipairs(sites) do
    for _, binding in ipairs(site.found) do
      entries[#entries + 1] = entry_of(binding, taken_of(binding, site.wanted), site)
    end
  end
  local ok, message, err = run.undo:record(entries)
  if ok then
    -- First what may write bindings itself.
    take_out_of_policies(run, found)
    each_site(run, sites, take_out_of_bindings)
  end
  for _, site in ipairs(sites) do
    if not ok then
      site.is_known, site.why = false, "nothing was taken away"
      site.message, site.err = message, err
    end
    note_what_stays(site, found)
    for _, item in ipairs(site.items) do conclude(run, site, found, item) end
  end
end

-- ---- saying --------------------------------------------------------------------

-- So many are named one by one.
local MOST_NOTES = 20

--- Notes for the report.
function M.close(run)
  local report, count, named = run.report, 0, 0
  for _, item in ipairs(run.items) do
    if item.rights == "removed" then count = count + 1 end
    for word, text in pairs { ["keeps rights by"] = not item.shortfall and item.left or nil,
      ["may have rights by"] = item.perhaps } do
      named = named + 1
      if named <= MOST_NOTES then
        report:note("%s: %s %s %s, which is not touched", item.name or item.id, items.who(item),
          word, text)
      end
    end
  end
  if named > MOST_NOTES then
    report:note("and %s by groups", show.count(named - MOST_NOTES, "more right"))
  end
  if run.undo.is_written then
    report.undo = run.undo.path
    report:note('rights were taken away in %d of %d; cce.workflow.restore(client, {undo="%s"}) puts'
      .. " them back", count, #run.items, run.undo.path)
  end
end

local function by_whom(site)
  return site.access.is_own and "by a certificate of the caller for 15 minutes"
    or "by an administrator's kubeconfig"
end

-- Whom a binding or a policy names, in a sentence and in a cell.
local function names_of(wanted, taken)
  local names, short = {}, {}
  for id in pairs(taken) do
    local who = wanted[id]
    names[#names + 1], short[#short + 1] = principals.text(who), who.kind .. " " .. (who.name or id)
  end
  table.sort(names)
  table.sort(short)
  return table.concat(names, ", "), table.concat(short, ", ")
end

--- Say what would be taken.
-- @tparam table run
-- @tparam {string,...} plan where lines are added
-- @treturn table the same as a table: `titles`, `kinds` and rows
function M.preview(run, plan)
  local sites = sites_of(run)
  local found, report = look_at_policies(run, sites), run.report
  local steps = { titles = { "TAKE OUT", "OF", "ROLE", "CLUSTER" },
    kinds = { "keep", [4] = "keep" } }
  each_site(run, sites, look)
  for _, policy in ipairs(found.list) do
    local names, short = names_of(policy.wanted, policy.taken)
    plan[#plan + 1] = ("take %s out of %s (%s, %s)"):format(names,
      policies.text(policy), policy.role.name,
      policy.clusters["*"] and "all clusters of the account" or "these clusters only")
    steps[#steps + 1] = { short, policies.text(policy), policy.role.name,
      policy.clusters["*"] and "all" or "these" }
  end
  local own = 0
  for _, site in ipairs(sites) do
    own = own + (site.access and site.access.is_own and 1 or 0)
    for _, binding in ipairs(site.found) do
      local names, short = names_of(site.wanted, taken_of(binding, site.wanted))
      local role = ("%s %s"):format(binding.role.kind or "role", binding.role.name or "?")
      plan[#plan + 1] = ("take %s out of %s (%s) in %s, %s"):format(names, bindings.text(binding),
        role, site.name or site.id, by_whom(site))
      steps[#steps + 1] = { short, bindings.text(binding), role, site.name or site.id }
    end
    local unknown = unknown_of(site, found)
    if unknown then
      report:note("%s: %s", site.name or site.id, unknown)
      report.incomplete = true
    end
    note_what_stays(site, found)
  end
  if own > 0 then
    report:note("to look, a certificate of the caller for 15 minutes was obtained in %s",
      show.count(own, "cluster"))
  end
  M.close(run)
  return steps
end

return M
