-- Changes to safety rules that a spec must notice, for tools/mutate.lua: in `file` the text
-- `find`, which is there once, becomes `with`; then `specs` (those whose names fit `filter`)
-- must fail. Where a rule has several terms, each has a change of its own. `quick`: it is tried
-- in `make test`, too.
local EVIDENCE = "spec/cce/workflow/rotate/evidence_spec.lua"
local CALLS = "spec/cce/api/call_policy_spec.lua spec/cce/api/call_spec.lua"
local AUDIT = "spec/cce/log/audit_log_spec.lua"
local SECRETS = "spec/core/secret_spec.lua spec/core/file_spec.lua"
  .. " spec/cce/credentials/init_spec.lua"
local TLS = "spec/core/engine_tls_spec.lua"
local WIPED = "spec/core/secret_memory_spec.lua spec/core/secret_spec.lua"
local APPENDED = "spec/core/journal_spec.lua spec/core/file_faults_spec.lua spec/cce/log"

return {
  -- ---- the audit log --------------------------------------------------------------------------
  { name = "audit: a line need not follow from the one before", quick = true,
    file = "lua/cce/log/audit_check.lua", find = "entry.previous ~= state.head", with = "false",
    specs = AUDIT },
  { name = "audit: a line may be missing",
    file = "lua/cce/log/audit_check.lua", find = "if entry.n ~= state.count + 1 then",
    with = "if false then", specs = AUDIT },
  { name = "audit: a hash need not be that of its line", quick = true,
    file = "lua/cce/log/audit_line.lua", find = "if core.sha256(text, key) ~= hash then",
    with = "if false then", specs = AUDIT },

  -- ---- what settles a rotation ----------------------------------------------------------------
  { name = "evidence: any job is a rotation", quick = true,
    file = "lua/cce/workflow/rotate/evidence.lua", find = "not job:is_rotation() or ", with = "",
    specs = EVIDENCE },
  { name = "evidence: another cluster's job counts",
    file = "lua/cce/workflow/rotate/evidence.lua", find = " or job.cluster_id ~= item.id",
    with = "", specs = EVIDENCE },
  { name = "evidence: a job that is older than the request counts",
    file = "lua/cce/workflow/rotate/evidence.lua",
    find = "created < since - JOB_TOLERANCE", with = "false", specs = EVIDENCE },
  { name = "evidence: the job of before counts",
    file = "lua/cce/workflow/rotate/evidence.lua", find = "if not id or id == other_than then",
    with = "if not id then", specs = EVIDENCE },
  { name = "evidence: a refused trace counts", quick = true,
    file = "lua/cce/workflow/rotate/evidence.lua", find = " and trace.ok and ", with = " and ",
    specs = EVIDENCE },
  { name = "evidence: another cluster's trace counts",
    file = "lua/cce/workflow/rotate/evidence.lua",
    find = " and trace.resource_id == item.id", with = "", specs = EVIDENCE },
  { name = "evidence: any trace counts",
    file = "lua/cce/workflow/rotate/evidence.lua", find = "TRACES[trace.name] and trace.ok",
    with = "trace.ok", specs = EVIDENCE },

  -- ---- what may have been applied -------------------------------------------------------------
  { name = "call: what the first attempt may have done is forgotten", quick = true,
    file = "lua/cce/api/call.lua",
    find = "state.maybe_applied = state.maybe_applied or err.maybe_applied",
    with = "state.maybe_applied = err.maybe_applied", specs = CALLS },
  { name = "call: what may have worked is for a caller's loop to repeat",
    file = "lua/cce/api/call.lua",
    find = "err.retryable, err.hint = false, err.hint or hints.maybe",
    with = "err.hint = err.hint or hints.maybe", specs = CALLS },
  { name = "call: a 500 to a change was surely not applied",
    file = "lua/cce/api/response.lua",
    find = "maybe_applied = request.mutating and response.status >= 500 or false",
    with = "maybe_applied = false", specs = CALLS },

  -- ---- kubeconfigs ----------------------------------------------------------------------------
  { name = "merge: a stale insecure-skip-tls-verify stays", quick = true,
    file = "lua/cce/kubeconfig/merge.lua", find = '    "insecure-skip-tls-verify",\n', with = "",
    specs = "spec/cce/kubeconfig" },
  { name = "merge: a stale token stays", quick = true,
    file = "lua/cce/kubeconfig/merge.lua", find = '"client-key-data", "token",',
    with = '"client-key-data",', specs = "spec/cce/kubeconfig" },
  { name = "merge: a stale exec stays",
    file = "lua/cce/kubeconfig/merge.lua", find = '"password", "exec",', with = '"password",',
    specs = "spec/cce/kubeconfig" },

  -- ---- whom TLS trusts ------------------------------------------------------------------------
  { name = "TLS: the system's CAs are trusted beside ca_file", quick = true,
    file = "src/net/transfer.c",
    find = "        SET(result, easy, CURLOPT_CAPATH, NULL);\n", with = "",
    specs = TLS },
  { name = "TLS: nobody's certificate is looked at",
    file = "src/net/transfer.c", find = "{CURLOPT_SSL_VERIFYPEER, 1}",
    with = "{CURLOPT_SSL_VERIFYPEER, 0}", specs = TLS },
  { name = "TLS: any name will do",
    file = "src/net/transfer.c", find = "{CURLOPT_SSL_VERIFYHOST, 2}",
    with = "{CURLOPT_SSL_VERIFYHOST, 0}", specs = TLS },
  { name = "TLS: a proxy's certificate is not looked at",
    file = "src/net/transfer.c", find = "{CURLOPT_PROXY_SSL_VERIFYPEER, 1}",
    with = "{CURLOPT_PROXY_SSL_VERIFYPEER, 0}", specs = TLS },

  -- ---- files and secrets ----------------------------------------------------------------------
  { name = "files: who appends does not wait for the disk", quick = true,
    file = "src/os/append_file.c", find = "(!sync || cce_path_sync(file->fd, fdatasync) == 0)",
    with = "true", specs = APPENDED },
  { name = "files: a lock on a file that was removed counts",
    file = "src/os/append_file.c",
    find = "return cce_path_is_named(target->dir, target->name, &info);", with = "return 1;",
    specs = APPENDED },
  { name = "secrets: a file that others can read is taken", quick = true,
    file = "src/os/secret_file.c", find = "(info->st_mode & 077) != 0", with = "false",
    specs = SECRETS },
  { name = "secrets: a file of another user is taken",
    file = "src/os/secret_file.c", find = "info->st_uid != geteuid() && info->st_uid != 0",
    with = "false", specs = SECRETS },
  { name = "secrets: what is freed is not wiped", quick = true,
    file = "src/core/secret.c", find = "    cce_wipe(pages, length);\n", with = "",
    specs = WIPED },
  { name = "secrets: a core dump has them",
    file = "src/core/secret.c", find = "(void)madvise(pages, size, MADV_DONTDUMP);", with = "",
    specs = WIPED },
}
