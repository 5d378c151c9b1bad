--- Revoke the certificates of a user or an agency on many clusters:
-- `cce.workflow.revoke`.
-- @module cce.workflow.revoke
local items = require "cce.workflow.revoke.item"
local pace = require "cce.workflow.pace"
local plan = require "cce.workflow.revoke.plan"
local principals = require "cce.workflow.revoke.principals"
local probe = require "cce.kubeconfig.probe"
local removal = require "cce.workflow.revoke.removal"
local revoke_options = require "cce.workflow.revoke.options"
local revoke_report = require "cce.workflow.revoke.report"
local runs = require "cce.workflow.run"
local targets = require "cce.workflow.targets"

local workflow = { name = "revoke", operation = "revoke_cert", hash = plan.hash, plan = plan.new,
  planned = plan.planned, recall = plan.recall, preview = revoke_report.preview,
  entry = revoke_report.entry, close = revoke_report.close, outlasts_journal = true }

function workflow.opening(run)
  return run.undo and { undo = run.undo.path, undo_id = run.undo.run } or {}
end

-- What a run is to take away, too, is not taken over by one that only cuts.
function workflow.is_same(run, known)
  return run.opts.remove or not known.undo
end

function workflow.check(run)
  local ok, message, err = principals.check_self(run.clients, run.list, run.opts, run.report)
  if not ok then return nil, message, err end
  local verify = run.opts.verify
  if verify then
    -- The holder's kubeconfig was loaded meanwhile, if it was a path.
    run.kubeconfig_for, message, err = probe.finder(verify == true and { run.opts.kubeconfig }
      or verify)
    if not run.kubeconfig_for then return nil, message, err end
  end
  if run.opts.remove then
    ok, message, err = removal.prepare(run)
    if not ok then return nil, message, err end
  end
  principals.look_up(run.clients, run.list, run.opts, run.report)
  run.pace = pace.new(run.clients, run.opts.rate_limit)
  return true
end

function workflow.execute(run)
  revoke_report.announce(run)
  run.began = run.clients[1]:now()
  local left = revoke_report.left(run)
  for _, item in ipairs(left) do item.paced = run.pace:limited(item.client) end
  run:process(left, items.process)
  if run.opts.remove then removal.take(run) end
end

--- Revoke what a user or an agency holds, on many clusters at once.
--
-- **Revoking is not removing.** A principal that still has rights in IAM can obtain a new
-- certificate at once: the report says of each principal "can obtain again: still
-- enabled in IAM", "no" or "unknown", the last when IAM may not be asked.
-- Remove the rights first, then revoke. A revocation cuts every certificate that
-- the principal holds in the cluster, newer ones too; what CTS shows to have been
-- obtained since an earlier revocation is named in `report.notes`.
--
-- **What is not done.** Clusters that are not Available are `pending`: there the
-- certificates stay valid until the same call is made again. Those whose version is too
-- old are `failed`. Where only the line of a version is known ("v1.27"), the API is
-- asked. The caller's own principal is refused without `allow_self`.
--
-- **Whose.** An id is known by IAM, by CTS's deletions and downloads, by the client's
-- audit log (which names the holder of each certificate that was obtained), by `knows`, or
-- by a certificate (`kubeconfig=`, `certificate=`) in the clusters whose CA issued it. That
-- it was once revoked shows nothing. A request about an id that is not known is
-- sent, and then `uncertain`: "nobody is known by this id", unless `unknown_ok`. When
-- IAM cannot be asked, an emergency is not held up: it is sent, and `ok`, "not checked".
--
-- **verify** asks each cluster with a kubeconfig of the principal, before and after;
-- what came of it is `verified`. "yes": it worked before and is now refused (401 or a TLS
-- alert), for which up to 30 seconds are given. "no": it still works (200 or 403), and is
-- `failed` with the code NOT_REVOKED. "no answer": it was asked and gave none, and is
-- `uncertain` with the code UNVERIFIED. "no kubeconfig": there is none for this cluster
-- that worked before; what was accepted is `ok` all the same.
--
-- **remove** takes away rights in the clusters, too: after the certificates are cut, the principal
-- leaves the subjects of RoleBindings and ClusterRoleBindings, by the cluster's own API, and
-- AccessPolicies that reach none but the chosen clusters. Only that subject goes; a binding
-- stays, if need be without subjects. What a group gives him is named, and not touched:
-- `left` where his certificate says that he is in it, else `perhaps`. Who may come back by
-- what is left is no success (exit code 1). Before anything is taken it is
-- written to the undo file, from which `cce.workflow.restore` puts it back. Edits of others
-- are not lost: what was changed meanwhile is read anew, by its resourceVersion; AccessPolicies
-- have no such thing, and are looked at again instead. Done is only who was seen to be in none;
-- what is not known is `pending`, and the same call goes on with it. Without `admin` for a
-- cluster, a certificate of the caller for 15 minutes is obtained, for a dry run as well.
--
-- **Runs.** With a journal, the same call goes on with what is open, as for
-- `cce.workflow.rotate`: what is done is not sent again, so that nothing that was
-- obtained since is cut; what was accepted is only verified again; what is not known, or
-- pending, is sent, and `may_have_cut_newer` counts from the first time. Whom
-- `deleted_since` found stays the list of that run. A run of which nothing is open is not
-- repeated, and `run=` names the next one. A revocation does not wait for a journal that
-- cannot be written any more: the report says so.
--
-- Items of the report have, beside the fields of `cce.report`, `principal_id`,
-- `principal_kind`, `can_obtain_again`, `verified` (nil when it was not asked for),
-- `may_have_cut_newer` and `cut_again`, with `remove` also `rights` ("removed" or "none", nil when
-- it is not done), and the texts `removed`, `left` and `perhaps`; the report has `principals`,
-- with `deleted_since` `window`, and `undo`, the path of the undo file, if anything was taken.
-- @tparam cce.client|{cce.client,...} clients one, or one for each project
-- @tparam table opts exactly one of user_id, agency_id, kubeconfig, certificate,
--   principals and deleted_since
-- @tparam table|function opts.clusters as for `cce.workflow.rotate`; all are
--   `{name="*"}`
-- @tparam[opt] string opts.user_id
-- @tparam[opt] string opts.agency_id
-- @tparam[opt] cce.kubeconfig|string opts.kubeconfig whose holder is meant; or
--   its path
-- @tparam[opt] string opts.certificate PEM, or its path; whose holder is meant
-- @tparam[opt] number opts.deleted_since unix time: everyone whom CTS shows to
--   have been deleted since then, seven days ago at most
-- @tparam[opt] {table,...} opts.principals several, each `{kind="user"|"agency", id=, name=}`;
--   with `deleted_since`: the `principals` of the report of a dry run; others that are
--   found are left out, and a note names them, so that what is done is what was looked at
-- @tparam[opt=false] boolean opts.partial `deleted_since` may be earlier; then
--   only what CTS still has is searched, and the report says so
-- @tparam[opt] string opts.tracker_region where IAM's traces are, and
-- @tparam[opt] string opts.tracker_project_id the project there: see
--   `client:deleted_principals`
-- @tparam[opt] string opts.principal "user" or "agency": what the holder of a
--   certificate is; by default what IAM says, else a user
-- @tparam[opt=false] boolean opts.allow_self revoke the caller's own
-- @tparam[opt] function opts.knows asked about an id that neither IAM nor CTS knows, with
--   its kind ("user" or "agency") and the id: true when a user or an agency has or had it
-- @tparam[opt=false] boolean opts.unknown_ok take an id that is not known as it is
-- @tparam[opt=false] boolean opts.retry_failed send again what failed in a run
-- @tparam[opt=false] boolean|table|function opts.verify true: with `kubeconfig`,
--   on the clusters that it has; or a list of kubeconfigs (or paths), a table of
--   them by cluster id or name, or a function of a cluster that returns one
-- @tparam[opt=false] boolean opts.remove take away their rights in the clusters, too
-- @tparam[opt] string|table|function opts.admin with `remove`: kubeconfigs of an administrator,
--   by whom the clusters are asked: one (or its path), or as for `verify`
-- @tparam[opt] string opts.undo with `remove`: the path of the undo file; by default
--   `removed-<id>.json` in `$XDG_STATE_HOME/cce`
-- @tparam[opt] number opts.first_intent unix time: when this was first tried. A
--   request more than 10 minutes after it is marked `may_have_cut_newer`
-- @tparam[opt] string opts.journal path of a file
-- @tparam[opt] string opts.run the name of the run
-- @tparam[opt=10] int opts.concurrency clusters at a time
-- @tparam[opt="10/min"] string|boolean opts.rate_limit of the requests that
--   revoke, of each account, for all workflows of this user together; false: none
-- @tparam[opt=false] boolean opts.dry_run revoke nothing, and return the plan
-- @tparam[opt] function opts.on_progress called with done, total and failed, as
--   `cce.progress` is; returning false stops
-- @treturn[1] cce.report
-- @treturn[2] nil when it could not begin
-- @treturn[2] string message
-- @treturn[2] table err
-- @usage
-- print(assert(cce.workflow.revoke(client, { clusters = { name = "*" }, user_id = leaver,
--   remove = true, admin = { [cluster_id] = "admin.kubeconfig" } })))
local function revoke(clients, opts)
  clients = targets.clients(clients, "revoke", 2)
  local checked, message, err = revoke_options.read(opts, 2)
  if not checked then return nil, message, err end
  local report
  report, message, err = runs.call(workflow, clients, checked)
  if report == nil then return nil, message, err end
  return report
end

return revoke
