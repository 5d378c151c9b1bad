--- What help and the manual page say beside the options: examples of each
-- command, the environment, the files. One place for both.
-- @module cce.cli.topics
-- @local
local M = {}

--- Examples by command: what it is for, and what is typed. A spec parses them all.
M.examples = {
  obtain = {
    { "A kubeconfig for a month, as a file of its own",
      "cce obtain prod --days 30 --out prod.kubeconfig" },
    { "The same in the file that kubectl reads",
      "cce obtain prod --days 30 --merge-into ~/.kube/config" },
    { "No key in the file: kubectl asks cce for it",
      "cce obtain prod --exec --merge-into ~/.kube/config" },
  },
  ensure = {
    { "From cron: renew what nears its end", "cce ensure --all --days 30 --dir kubeconfigs" },
    { "One file that is always good", "cce ensure prod --days 30 --out prod.kubeconfig" },
  },
  revoke = {
    { "See first what would be cut", "cce revoke --all --user alice --dry-run" },
    { "Everyone who was deleted in the last two days",
      "cce revoke --all --deleted-since 2d --yes" },
    { "The holder of a leaked file, and see that it is refused",
      "cce revoke prod --kubeconfig leaked.yaml --verify" },
    { "Certificates and rights in two clusters, and the rights put back",
      "cce revoke prod test --user alice --remove --admin admin.kubeconfig\n"
        .. "   cce revoke --undo ~/.local/state/cce/removed-0123456789abcdef.json" },
  },
  leaver = {
    { "See first what would be cut off and taken away", "cce leaver alice --dry-run" },
    { "A list of names", "cce leaver -f leavers.txt --dry-run" },
    { "Two at once, with the proof that it worked on a kubeconfig of theirs",
      "cce leaver alice bob --verify-with alice.kubeconfig --report leavers.html" },
  },
  rotate = {
    { "One first, then the others; go on after an interruption",
      "cce rotate --all --component all --canary 1 --run friday" },
    { "Go on with what is open", "cce rotate --resume" },
    { "Only at weekends, and not around the new year; the same line goes on",
      "cce rotate --all --windows 'sat,sun 01:00-05:00' --not 2026-12-20/2027-01-05" },
    { "From cron, whatever happened to the journal",
      "cce rotate --all --yes --run tonight --unless-rotated-within 20h" },
  },
  runs = {
    { "What is open", "cce runs list --open" },
    { "How each cluster of a run stands", "cce runs show friday" },
    { "A cluster shows that it was rotated", "cce runs settle friday prod-3 --happened" },
    { "End a run that nobody will finish", "cce runs discard friday" },
  },
  clusters = {
    { "What is there", "cce clusters" },
    { "The ids of some, for a script", "cce clusters --name 'prod-*' -o name" },
  },
  users = {
    { "Find the id of somebody", "cce users --name jane" },
    { "Who is disabled", "cce users --disabled" },
  },
  agencies = { { "All agencies of the account", "cce agencies" } },
  deleted = { { "Who was deleted since yesterday", "cce deleted --since 1d" } },
  downloads = {
    { "Who obtained certificates of a cluster this week", "cce downloads prod" },
    { "Of all clusters, for a script", "cce downloads --since 2d -o json" },
  },
  status = {
    { "The fleet, again every two seconds", "cce status --watch" },
    { "As a page for others", "cce status --report fleet.html" },
  },
  holders = {
    { "Who can get into production", "cce holders --name 'prod-*'" },
    { "Is anybody there who should not be?", "cce holders --expected team.txt" },
  },
  jobs = {
    { "How far a rotation is", "cce jobs show 01234567-89ab-cdef-0123-456789abcdef" },
    { "Wait for it", "cce jobs wait 01234567-89ab-cdef-0123-456789abcdef" },
  },
  expiry = {
    { "What ends within two weeks, in all files of a directory",
      "cce expiry kubeconfigs --within 14d" },
  },
  profiles = { { "Which profiles there are", "cce profiles" } },
  who = {
    { "Whose is this, and does it still work?", "cce who leaked.yaml --check" },
  },
  credential = {
    { "What kubectl calls", "cce credential --cluster 01234567-89ab-cdef-0123-456789abcdef" },
  },
  logout = { { "Forget what kubectl was given here", "cce logout" } },
  schedule = {
    { "The last day of a colleague",
      "cce schedule add revoke prod --user alice --at 2026-12-31T18:00Z" },
    { "Every four weeks, at night",
      "cce schedule add rotate --all --every 4w --windows 'sat,sun 01:00-05:00'" },
    { "Once, in local time", "cce schedule add rotate prod --at 'tomorrow 22:00'" },
    { "The last day of a whole team", "cce schedule add revoke --all --users team.txt --at +8h" },
    { "What is in it, and what became of it", "cce schedule list" },
    { "All that is known of an entry", "cce schedule show 1m8mvrf2xrf82cs9" },
    { "Take one out", "cce schedule cancel 1m8mvrf2xrf82cs9" },
    { "End a grant now", "cce schedule hasten 1m8mvrf2xrf82cs9" },
    { "Once more, what failed", "cce schedule retry 1m8mvrf2xrf82cs9 --retry-failed" },
    { "Leave a rotation at what was done", "cce schedule accept 1m8mvrf2xrf82cs9" },
    { "From cron or a service", "cce schedule run --once" },
    { "To another store", "cce schedule export entries.jsonl" },
    { "See first what would be put in", "cce schedule import entries.jsonl --dry-run" },
  },
  grant = {
    { "Access for two hours", "cce grant prod --for 2h --out visitor.kubeconfig" },
  },
  configure = {
    { "A first set-up", "cce configure" },
    { "A second account", "cce --profile staging configure" },
  },
  doctor = { { "Is everything set up?", "cce doctor" } },
  metrics = {
    { "For the textfile collector of node_exporter", "cce metrics kubeconfigs --check" },
  },
  log = {
    { "Was the audit log changed?", "cce log verify audit.log" },
    { "The same of one that logrotate rotates", "cce log verify audit.log*" },
  },
  version = { { "What to tell when something is wrong", "cce version" } },
  help = {
    { "A command within a command", "cce help schedule add" },
    { "What can stand in a profile", "cce help files" },
  },
  repl = { { "A prompt with a client of a profile", "cce --profile staging repl" } },
  sim = { { "A cloud to try things in", "cce sim --dir sim --clusters 20" } },
  completion = { { "In bash", 'eval "$(cce completion bash)"' } },
}

--- The variables of the environment: names, and what they are for.
M.environment = {
  { "CCE_PROFILE", "The profile, when --profile names none." },
  { "CCE_REGION, CCE_ENDPOINT", "Where CCE is, when neither an option nor a profile says it." },
  { "CCE_CLOUD", "Another cloud of the same kind: huawei-eu, otc, flexible-engine, sber, hcso." },
  { "CCE_CA_FILE", "Certificates to trust instead of the system's (PEM)." },
  { "CCE_AUDIT_LOG", "Where every change is logged, when --audit-log names no file." },
  { "CCE_SCHEDULE", "The schedule, when --store names none." },
  { "CCE_ETCD_USERNAME, CCE_ETCD_PASSWORD", "Who etcd is asked as." },
  { "HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, HUAWEICLOUD_SDK_SECURITY_TOKEN",
    "Keys, as in the official SDKs. A secret is never an option: every user of the machine can"
    .. " see the options of a process." },
  { "HUAWEICLOUD_SDK_PROJECT_ID, HUAWEICLOUD_SDK_DOMAIN_ID",
    "The project and the account." },
  { "HUAWEICLOUD_SDK_CREDENTIALS_FILE, HUAWEICLOUD_SDK_REGIONS_FILE",
    "Instead of ~/.huaweicloud/credentials and ~/.huaweicloud/regions.yaml." },
  { "HUAWEICLOUD_SDK_IDP_ID, HUAWEICLOUD_SDK_ID_TOKEN_FILE",
    "For credentials by an OIDC identity token." },
  { "HUAWEICLOUD_SDK_IAM_ENDPOINT, HUAWEICLOUD_SDK_STS_ENDPOINT, CCE_CTS_ENDPOINT",
    "The other services, with an endpoint of one's own." },
  { "HUAWEICLOUD_SDK_REGION_<SERVICE>_<REGION>", "An address, as in regions.yaml; such as"
    .. " HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4." },
  { "HW_ACCESS_KEY, HW_SECRET_KEY, HW_SECURITY_TOKEN, HW_REGION_NAME, HW_PROJECT_ID",
    "Credentials as Terraform's provider has them." },
  { "HC_CONTAINER_CREDENTIALS_FULL_URI, HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "Set in a pod that has an identity of its own." },
  { "HTTPS_PROXY, NO_PROXY", "How the cloud is reached; https_proxy and no_proxy come first." },
  { "KUBECONFIG", "The files that expiry and who read when none is named." },
  { "KUBERNETES_EXEC_INFO", "What kubectl says to cce credential." },
  { "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME",
    "Instead of ~/.config, ~/.local/state and ~/.cache." },
  { "TZ, TZDIR", "Local time, for --at 'fri 18:00', --zone local and --local." },
  { "HOME", "Where ~ is." },
  { "PATH", "Where the program is looked for that a kubeconfig of --exec names." },
  { "TMPDIR, XDG_RUNTIME_DIR", "Where short-lived files may be, such as a copy of a schedule that"
    .. " may only be read; by default /tmp." },
  { "TERM", "dumb: no colours, and no line is drawn anew." },
  { "NO_COLOR", "No colours." },
  { "CCE_DEBUG", "1: a mistake of the command itself is shown with a traceback." },
}

--- The files: names, what they are for, and perhaps what stands in one.
M.files = {
  { "~/.config/cce/config", "Profiles: under [name], settings such as region = cn-north-4. They"
    .. " are cloud, region, project, endpoint, iam_endpoint, cts_endpoint, sts_endpoint, ca_file,"
    .. " credentials, audit_log, timeout and schedule. credentials says where keys are: env,"
    .. " profile-file, profile-file:PATH, ecs, pod, terraform, agency:NAME@DOMAIN or"
    .. " token-file:PATH. A secret in this file is refused. A profile that is named beats the"
    .. " environment, and options beat both. [default] is used when nothing else says where CCE"
    .. " is.", [[
[default]
region = cn-north-4
credentials = profile-file

[staging]
region = ap-southeast-3
project = 0123456789abcdef0123456789abcdef
credentials = profile-file:~/.huaweicloud/staging
audit_log = ~/staging-audit.log
timeout = 30
schedule = sqlite:~/staging.db]] },
  { "~/.huaweicloud/credentials", "Keys, as the official SDKs keep them: under [basic], ak = and"
    .. " sk =, and project_id = if it is to be said. Its mode must be 0600.", [[
[basic]
ak = EXAMPLEACCESSKEY0001
sk = example-secret-key-of-nobody-0000000001]] },
  { "~/.local/state/cce/rotate-PROJECT.journal", "What cce rotate did, so that it can be"
    .. " resumed." },
  { "~/.cache/cce", "The names of clusters, for a minute, so that completing is quick; and the"
    .. " certificates that cce credential keeps." },
}

return M
