---@meta cce
-- For language servers that read LuaCATS annotations. tools/luacats.lua writes
-- this file out of the sources; nothing loads it.

---@class (exact) cce.new.opts
---@field region? string such as "cn-north-4"
---@field cloud? string another cloud of the same kind: "huawei-eu", "otc", "flexible-engine", "sber" or "hcso"; `region` is one of its own then, and what it is known to lack ends with UNSUPPORTED before it is sent
---@field endpoint? string instead of a region: https://host[:port]
---@field endpoints? table `{cce=, iam=, cts=, sts=}`, the same by service; each an address or a list of them, of which the next is tried when nothing could be sent to one. With an address for CCE the others are known only when they are given too
---@field project_id? string by default looked up by the region at the first call
---@field credentials? table|function `{ak=, sk=, security_token=}`, or `{username=, password=, domain=}`, or a provider of `cce.credentials`, or a function that returns keys; when left out, what `cce.credentials.default` finds at the first call
---@field token? string instead of credentials: an IAM token
---@field ca_file? string PEM bundle instead of the system's
---@field proxy? string|boolean a URL; false: none; by default HTTPS_PROXY, but for what NO_PROXY names (names, `*.name`, `name:port`, addresses, CIDR blocks)
---@field proxy_ca_file? string PEM bundle that an https proxy's certificate is checked by; by default `ca_file`, and the system's directory of certificates
---@field timeout? number seconds for one request
---@field connect_timeout? number seconds
---@field deadline? number seconds for a whole call with its retries, its waits and the look-up of the project; by default there is no such limit
---@field retry? table `{max_attempts=4, base=0.5, cap=30, budget=100}`: requests per call; seconds that the first wait is below, and that every wait is below; retries that all calls of the client have together, which come back within a minute. Waiting out a throttling window, as the API names it, takes nothing from the budget
---@field max_connections? integer to one host; further calls queue
---@field rate_limit? string such as "200/5min" or "10/min": of all requests of the client together; by default there is none
---@field user_agent? string
---@field on_event? function called with a table for every attempt, and for what else there is to know: its `type` is "attempt", "credentials" (new ones are in use), "key_refused", "notice", "certificates_ended" (of `cluster_id`; of one `principal_id`, or of all), …; never with a secret
---@field audit_log? string|cce.audit_log a path, or a log that `cce.audit_log.open` returned: every call that changes something is logged; inside nginx into a file for each worker, `<path>.worker-0` and so on
---@field clock? function returns unix time: what signs, and is written down
---@field monotonic? function returns seconds of a clock that is never set: what times waits, retries, limits and deadlines

---@class (exact) cce.signer.opts
---@field ak string
---@field sk string
---@field security_token? string of temporary keys
---@field algorithm? string or "SDK-HMAC-SM3" or "V11-HMAC-SHA256"
---@field region? string for V11-HMAC-SHA256 and the scoped layout
---@field service? string the same
---@field scheme? string "scoped": the older layout of SDK-HMAC-SHA256

---@class (exact) cce.map.opts
---@field concurrency? integer how many at a time
---@field on_progress? function called with done, total and failed after each item; returning false cancels: those under way end, the rest get CANCELLED. What it raises ends the same way, and is then raised on.
---@field results? table emptied, then filled as the results come, so that an interrupt, which is raised on at once, keeps them

---@class (exact) cce.progress.opts
---@field total? number how many things there are; without it there is no bar and no ETA
---@field done? number how many were done before: they count in the bar, but not in the rate
---@field label? string what stands before it
---@field stream? any where to; anything with a method `write`
---@field width? number columns to use; by default what the terminal has, asked again before every drawing
---@field is_terminal? boolean by default it is found out
---@field color? boolean false: no colours; by default as said above
---@field clock? function gives seconds that never go back
---@field interval? number least seconds between two drawings: 0.1 on a terminal, 10 elsewhere

---@class (exact) cce.ensure_cert.opts
---@field path string
---@field duration? integer days, as for `client:obtain_cert`
---@field expire_at? number unix time; one of the two is mandatory
---@field min_remaining? number seconds; by default a week, or a third of the lifetime if that is less
---@field renew? boolean obtain in any case
---@field name? string of the context in a new file; by default the file's name without its ending
---@field timeout? number seconds to wait for another process that is renewing the file
---@field check? boolean ask the cluster; false: go by the dates alone

---@class (exact) cce.expiry.opts
---@field clock? function gives the unix time
---@field check? boolean ask each cluster once whether it takes the certificate: entries get `check`, which is "works", "refused", "untrusted" or "not asked", and `says`, a sentence
---@field together? boolean the paths are files that belong together, as those of KUBECONFIG do to kubectl: the first to have a name wins, and a context in one may name a user in another
---@field kept? function of a cluster id: what `cce credential` keeps for it, a list of `{path=, kubeconfig=, facts=}`, or an empty one, a message and an error; such entries have `holder` and `kept`

---@class (exact) cce.client.obtain_cert.opts
---@field duration? integer lifetime in days, 1 to 1827, or -1 for the longest, which is five years
---@field expire_at? number its end as unix time, 15 minutes to five years ahead; wins over `duration`. One of the two is mandatory. A cluster of CCE Autopilot takes whole days only: there it is a day ahead at least, and the certificate ends up to a day earlier

---@class (exact) cce.client.revoke_cert.opts
---@field user_id? string
---@field agency_id? string
---@field kubeconfig? cce.kubeconfig whose holder is meant
---@field certificate? string PEM, whose holder is meant
---@field principal? string "user" or "agency": what the holder is, which no certificate says
---@field before_send? function called with the cluster's id right before each attempt leaves. It returns the seconds that the attempt may take; or nil, why it must not leave, and perhaps an error of `cce.error`: then the call ends with that error, else with CANCELLED. It must not wait.

---@class (exact) cce.client.rotate_credentials.opts
---@field component string "all", "service-account-controller" or "custom"
---@field certificate_expiration_time? integer hours, 0 to 8784, that the old ServiceAccount-token certificate stays valid; the API's default is 24
---@field cert_content? table `{ca=, cert=, private_key=}`, PEM or Base64; mandatory for "custom"
---@field before_send? function as for `revoke_cert`

---@class (exact) cce.client.wait_job.opts
---@field timeout? number seconds
---@field interval? number seconds between two looks
---@field on_progress? function called with the job after each look; returning false ends the waiting (CANCELLED), not the job

---@class (exact) cce.client.list_clusters.opts
---@field detail? boolean more in `raw`
---@field status? string such as "Available"
---@field type? string "VirtualMachine" or "ARM64"
---@field version? string such as "v1.27"
---@field autopilot? boolean those of CCE Autopilot, too, behind the others

---@class (exact) cce.client.retry_node_rotation.opts
---@field node_ids string[] at most 200
---@field before_send? function as for `client:revoke_cert`

---@class (exact) cce.client.list_users.opts
---@field name? string the whole name
---@field enabled? boolean
---@field domain_id? string the account; looked up when it is not given

---@class (exact) cce.client.list_agencies.opts
---@field name? string the whole name
---@field domain_id? string the account; looked up when it is not given

---@class (exact) cce.client.list_projects.opts
---@field name? string such as "cn-north-4"
---@field enabled? boolean
---@field domain_id? string the account
---@field parent_id? string the project that they were made in

---@class (exact) cce.client.list_traces.opts
---@field from? number unix time; default seven days ago
---@field to? number unix time; default now
---@field partial? boolean `from` may be before what CTS keeps
---@field service? string such as "CCE"
---@field name? string such as "RotateClusterCredentials"
---@field user? string a user's name
---@field resource_type? string
---@field resource_id? string
---@field resource_name? string

---@class (exact) cce.client.deleted_principals.opts
---@field from? number unix time; default seven days ago
---@field to? number unix time; default now
---@field partial? boolean `from` may be before the seven days that CTS keeps; what is left of the window is searched, and `window.complete` is false
---@field tracker_region? string where IAM's traces are; see above
---@field tracker_project_id? string the project there

---@class (exact) cce.client.certificate_downloads.opts
---@field from? number unix time; default seven days ago
---@field to? number unix time; default now
---@field cluster_id? string
---@field partial? boolean `from` may be before what CTS keeps

---@class (exact) cce.kubeconfigs.parse.opts
---@field port_id? string the answer's header Port-ID
---@field cluster_id? string the cluster it was obtained for
---@field clock? function gives the unix time

---@class (exact) cce.kubeconfigs.load.opts
---@field clock? function gives the unix time
---@field text? string what is in the file, when it was read already; then `path` is only its name

---@class (exact) cce.kubeconfig.rename.opts
---@field name? string names everything: one context, its cluster and its user get this name, all others get it as a prefix ("prod", "prod-internal", ...). The one is the current context, or that which `save` would make current instead
---@field context? string|table the new name of the current context, or a map from old to new names
---@field cluster? string|table the same for clusters
---@field user? string|table the same for users

---@class (exact) cce.kubeconfig.with_command.opts
---@field cluster_id? string by default that which it was obtained for
---@field command? string found in the PATH, or an absolute path
---@field args? string[] more arguments of `cce credential`; never a secret
---@field api_version? string "v1", for kubectl 1.22 or later, or "v1beta1", for 1.20 and 1.21

---@class (exact) cce.kubeconfig.save.opts
---@field context? string the context to make current; when merging, the one that gets the plain `name`
---@field merge? boolean add to the file instead of replacing it
---@field name? string the name of everything in it, as in `rename`
---@field mark? boolean when not merging: note in the file whose it is, as merging does; needs `name`
---@field force? boolean when not merging: replace the file whatever it is; without it only a kubeconfig or an empty file is replaced
---@field timeout? number seconds to wait for the lock
---@field backup? boolean when merging; false: keep no old file
---@field format? string "json" or "yaml", of a file that is not merged into; by default that of the kubeconfig, and JSON for a merge
---@field trial? boolean find out whether it would succeed, by all of it but the last step: the file stays as it is

---@class (exact) cce.credentials.static.opts
---@field ak string access key
---@field sk string|userdata secret key
---@field security_token? string|userdata of temporary keys

---@class (exact) cce.credentials.profile.opts
---@field path? string by default HUAWEICLOUD_SDK_CREDENTIALS_FILE, or ~/.huaweicloud/credentials
---@field section? string "basic" or "global"; by default the first that has keys

---@class (exact) cce.credentials.metadata.opts
---@field test_address? string for tests: a stand-in on loopback

---@class (exact) cce.credentials.id_token.opts
---@field idp_id string the identity provider's name in IAM
---@field id_token_file string
---@field project_id? string by default the client's project or region
---@field domain_id? string for a token of the whole account, when there is neither

---@class (exact) cce.credentials.password.opts
---@field username string of the IAM user
---@field password string|userdata
---@field domain string name of the account

---@class (exact) cce.credentials.key_token.opts
---@field ak string
---@field sk string|userdata

---@class (exact) cce.credentials.agency.opts
---@field agency_name string
---@field domain_name? string the account that entrusts; this or `domain_id`
---@field domain_id? string
---@field duration? integer seconds, 900 to 86400
---@field source? table the provider whose keys assume it; by default that of default

---@class (exact) cce.credentials.temporary.opts
---@field source table a provider of a token: password, id_token, …
---@field duration? integer seconds, 900 to 86400

---@class (exact) cce.signer.sign.spec
---@field method string
---@field host string with the port, unless it is the scheme's own
---@field path? string raw (decoded); it is encoded once
---@field query? table raw: a list of `{name, value}`, or a table of values by name
---@field headers? table strings by name
---@field body? string
---@field date? string|number "20260102T030405Z" or unix time; now when left out
---@field signed_headers? string[] exactly these are signed; else all given but User-Agent, and host, x-sdk-date and x-security-token

---@class (exact) cce.workflow.issue.opts
---@field clusters? table|function a list of ids, a function of a cluster that returns whether it is meant, or `{name=, version=, status=}`; by default all
---@field duration? integer days, as for `client:obtain_cert`
---@field expire_at? number unix time; one of the two is mandatory
---@field dir? string made if it is not there; a file for each cluster
---@field merge_into? string a file; exactly one of the two
---@field min_remaining? number seconds; by default a week, or a third of the lifetime if that is less
---@field renew? boolean obtain all anew, such as after a rotation
---@field name? function called with a cluster and its client: the name for its contexts and file
---@field format? string "json" or "yaml", of files that are not there yet
---@field journal? string path of a file: as for `cce.workflow.rotate`, the same call goes on with what is open, and does nothing once nothing is
---@field run? string the name of the run; another name begins another one
---@field concurrency? integer how many at a time
---@field on_progress? function as for `cce.map`
---@field dry_run? boolean send and write nothing: the report's `plan` says what would be done
---@field timeout? number seconds to wait for another such run
---@field check? boolean ask each cluster once whether it takes its certificate, and renew what it refuses; false: go by the dates alone

---@class (exact) cce.workflow.rotate.opts
---@field clusters table|function a list of ids; a function that is called with each cluster of the projects and returns whether it is meant; or `{name=, version=, status=}`: a name with `*` and `?`, the beginning of a version such as "v1.27", a phase such as "Available". All clusters are `{name="*"}`.
---@field component? string as for `client:rotate_credentials`
---@field certificate_expiration_time? integer hours; 0 needs `accept_token_loss`
---@field cert_content? table for component "custom"
---@field wait? boolean|table for the jobs; `{timeout=1800, interval=5}` in seconds; false: what was accepted counts as ok
---@field journal? string path of a file
---@field run? string the name of the run
---@field canary? integer so many clusters go first, one at a time, and must all succeed
---@field concurrency? integer clusters at a time
---@field max_failures? integer|string stop at so many, or at a share such as "10%". Failed jobs count, what the API refused (401, 403, 5xx), and what is uncertain; not what hibernates, is locked or throttled
---@field retry_failed? boolean send again what failed in a run, after a look at the cluster
---@field unless_rotated_within? number|string seconds, or such as "24h": leave out what was rotated since then, by any caller; the report says who and when
---@field windows? string|string[]|boolean when clusters may be begun: such as "sat,sun 01:00-05:00" or "mon-fri 22:00-04:00"; see above
---@field except? string|string[] when none may be begun: such as "2026-12-20/2027-01-05", both days included, or "2026-12-24T18:00/2026-12-27"
---@field zone? string of both: "UTC", "local" (of this machine) or such as "+08:00"
---@field repair? boolean tell nodes that failed to rotate again; a cluster where the API accepts that counts as ok, with a note that names the nodes, and what failed beside them
---@field reissue? table `{dir=, duration=|expire_at=, check=true}`: obtain a new kubeconfig of each rotated cluster into `<dir>/<cluster id>.json`, and ask the cluster with it. Items have `reissued`, the path, and `reissue_check`: "works", "refused" or "unchecked". What could not be obtained, saved or checked is still owed, so that the cluster is `pending`; what is refused is noted, and `exit_code` is 1. The rotation stands. check=false does not ask
---@field rate_limit? string|boolean of requests that change something in each account, for all workflows of this user together; false: none
---@field accept_token_loss? boolean allow `certificate_expiration_time=0`
---@field dry_run? boolean send nothing that changes anything, and return the plan
---@field before_send? function as for `client:revoke_cert`; asked before every request that changes something
---@field on_progress? function called with done, total and failed, as `cce.progress` is; returning false stops

---@class (exact) cce.workflow.revoke.opts
---@field clusters table|function as for `cce.workflow.rotate`; all are `{name="*"}`
---@field user_id? string
---@field agency_id? string
---@field kubeconfig? cce.kubeconfig|string whose holder is meant; or its path
---@field certificate? string PEM, or its path; whose holder is meant
---@field deleted_since? number unix time: everyone whom CTS shows to have been deleted since then, seven days ago at most
---@field principals? table[] several, each `{kind="user"|"agency", id=, name=}`; with `deleted_since`: the `principals` of the report of a dry run; others that are found are left out, and a note names them, so that what is done is what was looked at
---@field partial? boolean `deleted_since` may be earlier; then only what CTS still has is searched, and the report says so
---@field tracker_region? string where IAM's traces are, and
---@field tracker_project_id? string the project there: see `client:deleted_principals`
---@field principal? string "user" or "agency": what the holder of a certificate is; by default what IAM says, else a user
---@field allow_self? boolean revoke the caller's own
---@field knows? function asked about an id that neither IAM nor CTS knows, with its kind ("user" or "agency") and the id: true when a user or an agency has or had it
---@field unknown_ok? boolean take an id that is not known as it is
---@field retry_failed? boolean send again what failed in a run
---@field verify? boolean|table|function true: with `kubeconfig`, on the clusters that it has; or a list of kubeconfigs (or paths), a table of them by cluster id or name, or a function of a cluster that returns one
---@field remove? boolean take away their rights in the clusters, too
---@field admin? string|table|function with `remove`: kubeconfigs of an administrator, by whom the clusters are asked: one (or its path), or as for `verify`
---@field undo? string with `remove`: the path of the undo file; by default `removed-<id>.json` in `$XDG_STATE_HOME/cce`
---@field first_intent? number unix time: when this was first tried. A request more than 10 minutes after it is marked `may_have_cut_newer`
---@field journal? string path of a file
---@field run? string the name of the run
---@field concurrency? integer clusters at a time
---@field rate_limit? string|boolean of the requests that revoke, of each account, for all workflows of this user together; false: none
---@field dry_run? boolean revoke nothing, and return the plan
---@field on_progress? function called with done, total and failed, as `cce.progress` is; returning false stops

---@class (exact) cce.workflow.restore.opts
---@field undo string path of the undo file: `report.undo` of the revocation
---@field admin? string|table|function as for `cce.workflow.revoke`
---@field concurrency? integer clusters at a time
---@field rate_limit? string|boolean of changes of AccessPolicies
---@field dry_run? boolean change nothing, and return the plan
---@field on_progress? function as for `cce.workflow.revoke`

---@class (exact) cce.workflow.grant.opts
---@field cluster_id string
---@field seconds number how long, from 900 on
---@field user_id? string whose client it is; looked up when left out
---@field agency_id? string the same
---@field shared? boolean allow several at a time for this principal and cluster; they end together, at the latest of their times
---@field grantee? boolean the client is the grantee's
---@field allow_self? boolean the client is the caller's own, and that is meant
---@field reason? string for people; up to 500 bytes
---@field names? table of the cluster and the grantee, by id, for people

---@class (exact) cce.workflow.holders.opts
---@field clusters? table|function ids, or `{ name=, version=, status= }`; by default all
---@field user_id? string only this user or agency
---@field traces? string[] files of exported traces of CTS: JSON, or JSON lines
---@field logs? string[] audit logs of ours
---@field kubeconfigs? string[] files, directories and patterns, as for `cce.expiry`
---@field schedule? cce.schedule revocations that are due
---@field admin? string|table|function kubeconfigs to ask clusters for bindings with, as for `cce.workflow.revoke`; none is obtained
---@field concurrency? integer clusters that are asked at a time
---@field expected? string[] who should be there: "principal" or "cluster principal", each by id or name; others are marked `unexpected`

---@class (exact) cce.schedules.open.opts
---@field clock? function returns unix time
---@field steady? function returns seconds that no step of the clock changes, the same for all processes of the machine
---@field ca_file? string of etcd: PEM bundle instead of the system's
---@field cert? string of etcd: file of a client certificate
---@field key? string of etcd: file of its key
---@field username? string of etcd
---@field password? string of etcd

---@class (exact) cce.schedule.revoke_at.opts
---@field region? string by which the runner chooses its client
---@field project_id? string the same
---@field cluster_id string
---@field user_id? string
---@field agency_id? string one of the two is mandatory
---@field reason? string for people; up to 500 bytes
---@field names? table of the cluster and of whom it is about, by id, for people

---@class (exact) cce.schedule.rotate_every.opts
---@field region? string by which the runner chooses its client
---@field project_id? string the same
---@field cluster_id? string
---@field clusters? table ids, or a filter such as `{name="prod-*"}`; one of the two is mandatory
---@field first? number|string the first time, as for `revoke_at`; by default one interval from now
---@field window? table older name of `windows`, which may be such a table: `{weekdays={"Sat","Sun"}, from="01:00", to="05:00", zone="+08:00"}`
---@field reason? string for people; up to 500 bytes
---@field names? table of clusters, by id, for people
---@field component? any this one and `certificate_expiration_time`, `wait`, `canary`, `concurrency`, `max_failures`, `repair`, `reissue`, `rate_limit`, `unless_rotated_within`, `accept_token_loss`, `windows`, `except` and `zone` are those of `cce.workflow.rotate`; local time is that of the runner's machine

---@class (exact) cce.schedule.list.opts
---@field status? string a state; or "live": what runners have; or "overdue": what failed so far, and what no runner took within a minute of its time
---@field after? string `next` of the page before
---@field limit? integer up to 1000

---@class (exact) cce.schedule.retry.opts
---@field retry_failed? boolean of a rotation: also send again to clusters whose job failed, once, after a look at each

---@class (exact) cce.schedule.run.opts
---@field once? boolean do what is due now and return
---@field until_idle? boolean return once nothing is due and no runner has anything in hand; what is due later, and what waits to be tried again, does not count
---@field lease? number seconds after which others take over from this runner when it is dead; a request may take two less
---@field concurrency? integer entries at a time
---@field keep? number seconds for which what is over is kept
---@field on_event? function called with each event; returning false stops
---@field on_look? function called each time that the runner has looked at the schedule, every few seconds, and done what was due; returning false stops
---@field stop? function asked several times a second; returning true stops
---@field runner? string a name for `entry.runner`; by default the machine's
---@field journal_dir? string a directory that outlasts this process, for the journals of rotations; without it they fail
---@field retry? table seconds: `{base=1, cap=300, floor=0.5, mend_base=60, mend_cap=3600, mend_floor=30}`; the last three are for what a person must mend

---@class (exact) cce.schedule.import.opts
---@field dry_run? boolean check the file and put in nothing

---@class (exact) cce.openresty.schedule.opts
---@field store string|function where, as for `cce.schedule.open`; or a function that returns a schedule, or nil, message, err. It is called in a timer, and the schedule is closed when the worker ends.
---@field options? table for `cce.schedule.open`
---@field client_for function as for `schedule:run`

---@class (exact) cce.metrics_module.new.opts
---@field clock? function gives unix time
---@field shared? table a shared dictionary of nginx (`ngx.shared.NAME`, of this alone): all workers count in it, and each tells of all

---@class (exact) cce.audit_logs.open.opts
---@field key? string|cce.secret of the HMAC
---@field on_failure? string what happens to a call that cannot be logged: "refuse" does not send it; "warn" sends it and tells `on_event` (or standard error), so that a full disk cannot block an urgent revocation
---@field on_event? function told of every head, besides the client's
---@field clock? function returns unix time

---@class (exact) cce.audit_logs.verify.opts
---@field head? string a head that was kept elsewhere; later lines are fine
---@field count? integer how many lines there were then
---@field key? string|cce.secret with which it was written

---@class cce
---@field _VERSION string
---@field codes table<string, string> every error code and what it means
---@field credentials cce.credentials
---@field kubeconfig cce.kubeconfigs
---@field workflow cce.workflow
---@field schedule cce.schedules
---@field audit_log cce.audit_logs
---@field region cce.regions
---@field error cce.errors
---@field metrics cce.metrics_module
local cce = {}

---Make a client. Options left out come from the environment:
---HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, HUAWEICLOUD_SDK_SECURITY_TOKEN,
---HUAWEICLOUD_SDK_PROJECT_ID, CCE_CLOUD, CCE_ENDPOINT, CCE_REGION, CCE_CA_FILE, HTTPS_PROXY
---and NO_PROXY. Does no network I/O.
---```lua
---local client = assert(cce.new { region = "cn-north-4", timeout = 30, rate_limit = "200/5min" })
---print(client) -- where, which project, whose keys; never a secret
---```
---@param opts? cce.new.opts
---@return cce.client? #
---@return string? message
---@return cce.error? err
function cce.new(opts) end

---Make a signer. It does no I/O. See `signer:sign` and `signer:explain`.
---```lua
---local signer = cce.signer { ak = "AccessKey", sk = "SecretKey" }
---local headers = signer:sign { method = "GET", host = "example.com", path = "/" }
---assert(headers.Authorization:match("^SDK%-HMAC%-SHA256 Access=AccessKey, "))
---```
---@param opts cce.signer.opts
---@return cce.signer? #
---@return string? message
---@return cce.error? err
function cce.signer(opts) end

---The facts of a certificate.
---```lua
---local facts = assert(cce.certificate(pem))
---print(facts.user_id, os.date("!%F", facts.not_after))
---```
---@param text string PEM, Base64 or a kubeconfig in JSON
---@return cce.certificate? # `{user_id=, organizations=, subject=, issuer=, serial=, not_before=, not_after=, sha256=}`; times are unix seconds; it prints as a line
---@return string? message
---@return cce.error? err
function cce.certificate(text) end

---Call a function for every item, several at a time.
---
---In a plain script this drives the calls itself; inside nginx, or an event
---loop that was told of by `cce.use_loop`, it yields. Calls of a client inside
---`fn` wait without holding up the others; anything else that waits does hold
---them up.
---
---```lua
---local results = cce.map(clusters, function(cluster)
---  return client:rotate_credentials(cluster.id, { component = "all" })
---end, { concurrency = 50 })
---```
---@param items table a list
---@param fn function called with an item and its index. Returning nothing or a value is success; returning `nil, message, err` or raising is that item's failure and stops no other item.
---@param opts? cce.map.opts
---@return table[] # in the order of the items: `{item=, ok=, value=, message=, err=}`; it prints as a table
function cce.map(items, fn, opts) end

---Let the calls in coroutines yield to an event loop. Inside nginx this is not
---needed. Calls outside of any coroutine of the loop go on to block.
---
---A loop of one's own is a table of three functions:
---
---* `watch(fd, on_readable)` calls `on_readable()` whenever the descriptor is
---  readable, until the function that it returns is called
---* `suspend(start)` calls `start(wake)` and returns once `wake()` was called,
---  be it by then or later; meanwhile other coroutines run
---* `after(seconds, fn)` calls `fn()` once, so many seconds later
---
---and, where they matter, `inside()`, which tells whether the running code may
---be suspended (by default: whether it is in a coroutine), and `spawn(fn)`,
---which runs a function in a coroutine of the loop.
---```lua
---cce.use_loop "cqueues"
---```
---@param loop string|table|nil "cqueues", "luv", a table, or nil for none
function cce.use_loop(loop) end

---Wait without holding up other calls.
---```lua
---cce.sleep(0.1)
---```
---@param seconds number
function cce.sleep(seconds) end

---Lua's `pcall`, but calls of a client may wait inside of it. On PUC Lua 5.1 they
---cannot wait inside of `pcall` itself, in `cce.map` and in event loops: they return
---UNSUPPORTED there, and nothing is sent. On any other Lua this is `pcall`.
---```lua
---local results = cce.map({ cluster_id }, function(id)
---  local ok, job, message = cce.pcall(client.rotate_credentials, client, id,
---    { component = "all" })
---  if not ok then return nil, "raised: " .. tostring(job) end
---  return job, message
---end)
---```
---@param fn function
---@return boolean # whether it raised nothing
function cce.pcall(fn) end

---Makes a progress display. It draws nothing before the first `update`.
---```lua
---local progress = require "cce.progress"
---local display = progress.new { total = 3, label = "rotating", stream = io.stdout }
---for done = 1, 3 do display:update(done, 0) end
---display:finish()
---```
---@param opts? cce.progress.opts
---@return cce.progress? # the display: `display:update(done, failed)`, `display:finish()`; it can be given as `on_progress` itself, and is then called as `display(done, total, failed)`
---@return string? message
---@return cce.error? err
function cce.progress(opts) end

---A kubeconfig file that is obtained once and used until it nears its end.
---
---When the file holds a kubeconfig of this cluster whose key and certificate
---match, which has `min_remaining` seconds left, and which the cluster does not
---refuse, that is returned. Else one is obtained and saved: mode 0600, in one step,
---with a context that verifies TLS; before it is asked for, it is proved that it can
---be saved. Of several processes that ask at once, one obtains and the others take
---what it saved. A file of another cluster is not touched, nor one that nobody marked with
---more than one user in it: it would be replaced whole.
---
---The cluster is asked once, the way that kubectl would, since no date tells of a
---revocation or a rotation. One that gives no answer changes nothing. A new
---certificate that is refused as well is an error, and no second one is obtained.
---Not noticed is that the client's principal is not the one who obtained it: then
---`renew`.
---```lua
---local kubeconfig, renewed = cce.ensure_cert(client, cluster_id,
---  { path = "prod.json", duration = 30 })
---```
---@param client cce.client
---@param cluster_id string
---@param opts cce.ensure_cert.opts
---@return cce.kubeconfig? #
---@return boolean|string? # message
---@return table?|cce.error? # err
function cce.ensure_cert(client, cluster_id, opts) end

---Whose certificates are in these kubeconfigs, for which cluster, until when.
---
---A file that cannot be used becomes an entry with `message` and `err`, after
---all others. Users with a token, or a command that is not ours, are left out where others
---have certificates, else they are entries with a `message` alone. One whose certificate
---`cce credential` gives has no end that the file could tell.
---```lua
---print(cce.expiry { "kubeconfigs", os.getenv "HOME" .. "/.kube/config" })
---```
---@param paths string|string[] files, directories (each of their files that is not hidden) and patterns such as "team/*/*.json"
---@param opts? cce.expiry.opts
---@return table[]? # sorted by expiry; each { path=, user=<name in the file>, user_id=, organizations=, context=, contexts=, cluster=, server=<without a password or a query>, cluster_id=<when known>, serial=, not_before=, not_after=, remaining=<seconds>, expired=, key_matches= } or { path=, message=, err= }; it prints as a table
---@return string? message
---@return cce.error? err
function cce.expiry(paths, opts) end

---@class cce.client
local client = {}

---Obtain a cluster certificate: a kubeconfig with a new client certificate
---and key of the caller. Each call issues another one.
---```lua
---local kubeconfig = assert(client:obtain_cert(cluster_id, { duration = 30 }))
---assert(kubeconfig:save("kubeconfig.json"))
---```
---@param cluster_id string
---@param opts cce.client.obtain_cert.opts
---@return cce.kubeconfig? #
---@return string? message
---@return cce.error? err
function client:obtain_cert(cluster_id, opts) end

---Revoke a principal's certificates of a cluster: all that were issued
---before this moment. It cannot be undone; but who still has IAM rights can
---obtain a new one at once.
---```lua
---assert(client:revoke_cert(cluster_id, { kubeconfig = kubeconfig }))
---```
---@param cluster_id string
---@param opts cce.client.revoke_cert.opts exactly one of the first four
---@return boolean? # true
---@return nil|string? # message
---@return nil|cce.error? # err
---@return string? the request's id
function client:revoke_cert(cluster_id, opts) end

---Start the rotation of a cluster's certificates. It is a job that takes
---minutes: see `wait_job`.
---```lua
---local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
---assert(client:wait_job(job.id))
---```
---@param cluster_id string
---@param opts cce.client.rotate_credentials.opts
---@return cce.job? # `job.id`
---@return string? message
---@return cce.error? err
function client:rotate_credentials(cluster_id, opts) end

---Look at a job.
---```lua
---local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
---print(assert(client:show_job(job.id)).phase)
---```
---@param id string
---@return cce.job? #
---@return string? message
---@return cce.error? err
function client:show_job(id) end

---Wait for a job to end.
---```lua
---local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
---local done, message, err = client:wait_job(job.id, { timeout = 3600 })
---if not done and err.code == "JOB_FAILED" then print(message) end
---```
---@param id string
---@param opts? cce.client.wait_job.opts
---@return cce.job? # its phase is "Success"
---@return string? message
---@return cce.error? err
function client:wait_job(id, opts) end

---List the clusters of the project. Those of CCE Autopilot only when they are asked for.
---```lua
---for _, cluster in ipairs(assert(client:list_clusters { status = "Available" })) do
---  print(cluster.id, cluster.name, cluster.version)
---end
---```
---@param opts? cce.client.list_clusters.opts
---@return cce.cluster[]? #
---@return string? message
---@return cce.error? err
function client:list_clusters(opts) end

---Look at a cluster, be it of CCE or of CCE Autopilot.
---```lua
---local cluster = assert(client:show_cluster(cluster_id))
---assert(cluster.status == "Available", cluster.status)
---```
---@param cluster_id string
---@return cce.cluster? #
---@return string? message
---@return cce.error? err
function client:show_cluster(cluster_id) end

---Check step by step whether this client can work, and say what is wrong:
---credentials, clock, region, project, reachability, TLS, then IAM, CTS and STS, and
---which actions are allowed, as far as reading tells. It only reads, tries nothing
---twice, and prints nothing. A service whose address is not known is not checked.
---```lua
---local report = client:doctor()
---print(report)
---os.exit(report:exit_code())
---```
---@return table # the report: a list of `{name=, ok=, message=, hint=}`, where `ok` is true, false, or nil for what could not be checked; `report.ok` tells whether all is well, `report:exit_code()` is 0 or 1, and `tostring(report)` reads well
function client:doctor() end

---End the connections and wipe the credentials. Later calls raise.
---```lua
---local other = assert(cce.new { region = "cn-north-4" })
---other:close()
---```
function client:close() end

---Renew the certificates of nodes that a rotation did not reach.
---
---Only for nodes that failed in the rotation of a cluster whose control plane
---was rotated, and that run again: see `job:failures()`, whose `resource_id`
---is the node. It is a change, and sent at most once unless it surely did not
---arrive.
---```lua
---assert(client:retry_node_rotation(cluster_id, { node_ids = { node_id } }))
---```
---@param cluster_id string
---@param opts cce.client.retry_node_rotation.opts
---@return boolean? # true
---@return string? message
---@return cce.error? err
function client:retry_node_rotation(cluster_id, opts) end

---List the users of the account.
---```lua
---print(assert(client:list_users { enabled = false }))
---```
---@param opts? cce.client.list_users.opts
---@return table[]? # each `{id=, name=, enabled=, domain_id=, raw=}`
---@return string? message
---@return cce.error? err
function client:list_users(opts) end

---List the agencies of the account.
---```lua
---for _, agency in ipairs(assert(client:list_agencies())) do print(agency.id, agency.name) end
---```
---@param opts? cce.client.list_agencies.opts
---@return table[]? # each `{id=, name=, domain_id=, trusts=, raw=}`; `trusts` is the account or service that may act as it
---@return string? message
---@return cce.error? err
function client:list_agencies(opts) end

---List the projects that these credentials can see: one a region, which has the
---region's name, and those made in it.
---```lua
---for _, project in ipairs(assert(client:list_projects())) do print(project.id, project.name) end
---```
---@param opts? cce.client.list_projects.opts
---@return table[]? # each `{id=, name=, enabled=, domain_id=, parent_id=, raw=}`
---@return string? message
---@return cce.error? err
function client:list_projects(opts) end

---List the traces of the client's project, oldest first.
---```lua
---local rotations = assert(client:list_traces { service = "CCE", from = os.time() - 3600 })
---```
---@param opts? cce.client.list_traces.opts
---@return table[]? # each `{id=, name=, service=, time=, resource_id=, resource_name=, resource_type=, user={id=, name=, kind=}, source_ip=, code=, ok=, raw=}`; `ok` is false for an attempt that was refused
---@return string? message
---@return cce.error? err
function client:list_traces(opts) end

---List the users and agencies that were deleted, whose certificates may still
---be valid: their `id` is what `client:revoke_cert` wants.
---```lua
---for _, leaver in ipairs(assert(client:deleted_principals { from = os.time() - 86400 })) do
---  print(leaver.kind, leaver.id, leaver.name)
---end
---```
---@param opts? cce.client.deleted_principals.opts
---@return table[]? # each `{id=, kind=, name=, time=, by=, trace_id=}`, oldest first; `kind` is "user" or "agency"; with `window` and `searched`, and `unidentified`: traces of deletions that do not say of whom
---@return string? message
---@return cce.error? err
function client:deleted_principals(opts) end

---List who obtained certificates, of one cluster or of all of the project.
---```lua
---print(assert(client:certificate_downloads { cluster_id = cluster_id }))
---```
---@param opts? cce.client.certificate_downloads.opts
---@return table[]? # each `{id=, kind=, name=, time=, cluster_id=, source_ip=, trace_id=}`, oldest first; `id` is whom to revoke, `kind` "user" or "agency"
---@return string? message
---@return cce.error? err
function client:certificate_downloads(opts) end

---@class cce.error
---@field code string a word of `cce.codes`
---@field message string
---@field operation? string
---@field status? integer
---@field api_code? string
---@field error_code? string
---@field request_id? string
---@field retryable? boolean
---@field maybe_applied? boolean
---@field attempts? integer
---@field retry_after? number
---@field hint? string
local error = {}

---@class cce.cluster
---@field id string
---@field name? string
---@field version? string
---@field status? string
---@field raw table
local cluster = {}

---@class cce.job
---@field id string
---@field phase? string
---@field type? string
---@field cluster_id? string
---@field resource_id? string
---@field name? string
---@field reason? string
---@field sub_jobs cce.job[]
---@field raw? table
local job = {}

---Whether the job has ended, well or badly.
---```lua
---local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
---while not assert(client:show_job(job.id)):ended() do cce.sleep(1) end
---```
---@return boolean #
function job:ended() end

---Whether the job rotates the certificates of a cluster, as far as its type
---tells.
---@return boolean #
function job:is_rotation() end

---The sub-jobs at any depth that failed.
---```lua
---local job = assert(client:rotate_credentials(cluster_id, { component = "all" }))
---for _, failure in ipairs(assert(client:show_job(job.id)):failures()) do print(failure) end
---```
---@return cce.job[] #
function job:failures() end

---@class cce.kubeconfig
---@field raw string as it was obtained: it holds a private key
---@field data table
---@field port_id? string
---@field cluster_id? string
local kubeconfig = {}

---The contexts, in the order of the file.
---```lua
---for _, context in ipairs(kubeconfig:contexts()) do print(context.name, context.server) end
---```
---@return table[] # each { name=, cluster=, user=, server=, namespace=, verifies_tls=<boolean>, current=<boolean> }; it prints as a table
function kubeconfig:contexts() end

---The same kubeconfig with another current context.
---```lua
---local inside = assert(kubeconfig:use("internal"))
---assert(inside:save("inside.json"))
---```
---@param context string its name
---@return cce.kubeconfig? # a new object; saving it keeps this choice
---@return string? message
---@return cce.error? err
function kubeconfig:use(context) end

---The same kubeconfig with other names in it. Kubeconfigs of all clusters come
---with the same names: rename them before they are merged.
---```lua
---local named = assert(kubeconfig:rename { name = "prod" })
---assert(named:save("prod.json"))
---```
---@param opts cce.kubeconfig.rename.opts
---@return cce.kubeconfig? # a new object
---@return string? message
---@return cce.error? err
function kubeconfig:rename(opts) end

---The same kubeconfig without a key: kubectl gets the certificate from the
---command `cce credential`, which obtains it, keeps it and renews it. Where the
---servers are and what they are known by stays in the file; a rotation of the
---cluster may change that, then it is to be obtained again.
---```lua
---local kubeconfig = assert(client:obtain_cert(cluster_id, { duration = 1 }))
---assert(assert(kubeconfig:with_command { args = { "--days", "1" } }):save("prod.json"))
---```
---@param opts? cce.kubeconfig.with_command.opts
---@return cce.kubeconfig? # a new object
---@return string? message
---@return cce.error? err
function kubeconfig:with_command(opts) end

---What the client certificate of the current context says.
---```lua
---local facts = assert(kubeconfig:certificate())
---print(facts.user_id, os.date("!%F", facts.not_after), facts.key_matches)
---```
---@return table? # { user_id=, organizations=, subject=, issuer=, serial=, not_before=, not_after=, sha256=, key_matches= }; times are unix seconds
---@return string? message
---@return cce.error? err
function kubeconfig:certificate() end

---What the client certificates of all users in it say.
---```lua
---for _, entry in ipairs(kubeconfig:certificates()) do print(entry.user, entry.context) end
---```
---@return table[] # each { user=, contexts={names}, context=<the one to name>, cluster=, server=, cluster_id=<where a merge noted it>, facts=<as of `certificate`> }, or instead of facts message= and err=; it prints as a table
function kubeconfig:certificates() end

---The text that `save` would write to a file of its own: it holds the private
---key.
---@param opts? table context, name, format and mark as for `save`
---@return string? #
---@return string? message
---@return cce.error? err
function kubeconfig:text(opts) end

---Writes the kubeconfig to a file that only its owner may read, atomically,
---and locked against other writers. A symlink is followed, the file's owner is
---kept.
---
---When the context, the names and `data` are as they were read, the text goes
---out byte for byte. But a current context that does not check the server's
---certificate, as the API sends it for a cluster with a public address, is
---replaced by `externalTLSVerify`, or else `internal`, unless the option
---context or `use` asked for it.
---
---Merging keeps everything in the file that is not ours, its current context
---too, and puts the old file beside it as `<path>.bak`. An entry is ours when a
---merge under the same name made it, or when it is the same in substance; any
---other that has one of our names is a `CONFLICT`. While it merges, it also
---holds the lock that kubectl uses, `<path>.lock`; should it be killed just
---then, the next merge removes that.
---
---A YAML file is changed only where our entries are: its comments, its order
---and its layout stay. What cannot be done so (our entries are aliases, or
---hold a comment that would be lost) is refused, and so is all YAML when lyaml
---is not installed.
---
---```lua
---assert(kubeconfig:save("prod.json"))
---assert(kubeconfig:save("fleet.kubeconfig", { merge = true, name = "prod" }))
---```
---@param path string
---@param opts? cce.kubeconfig.save.opts
---@return table? # { path=, context=, current=<is it the file's current one>, merged=<boolean>, backup=<path or nil> }, which prints as a sentence
---@return string? message
---@return cce.error? err
function kubeconfig:save(path, opts) end

---@class cce.kubeconfigs
local kubeconfigs = {}

---Reads the kubeconfig that the API sent: complete, or an error that says
---what is missing.
---```lua
---local kubeconfig = require "cce.kubeconfig"
---local parsed, message, err = kubeconfig.parse("{")
---assert(parsed == nil and err.code == "RESPONSE_INVALID")
---```
---@param text string JSON
---@param opts? cce.kubeconfigs.parse.opts
---@return cce.kubeconfig? # the object
---@return string? message
---@return cce.error? err
function kubeconfigs.parse(text, opts) end

---Reads a kubeconfig file, in JSON or YAML (for YAML, lyaml must be installed:
---Debian's lua-yaml, or the rock lyaml). Any file that kubectl reads will do.
---```lua
---assert(kubeconfig:save("prod.json"))
---print(assert(cce.kubeconfig.load("prod.json")))
---```
---@param path string
---@param opts? cce.kubeconfigs.load.opts
---@return cce.kubeconfig? # the object
---@return string? message
---@return cce.error? err
function kubeconfigs.load(path, opts) end

---Whether a value is a kubeconfig object.
---```lua
---assert(cce.kubeconfig.is(kubeconfig))
---```
---@param value any
---@return boolean #
function kubeconfigs.is(value) end

---Merges many kubeconfigs into one file, in one write: see `save`. One that
---cannot be merged stays out and stops no other.
---```lua
---assert(cce.kubeconfig.merge("fleet.kubeconfig", { { kubeconfig = kubeconfig, name = "prod" } }))
---```
---@param path string
---@param items table[] each { kubeconfig=, name=, context= }, as for `save`
---@param opts? table timeout, backup, format and trial as for `save`
---@return table[]? # in the order of the items { ok=, saved=<as of save>, message=, err= }
---@return string? message
---@return cce.error? err
function kubeconfigs.merge(path, items, opts) end

---@class cce.credentials
local credentials = {}

---Keys that you have.
---```lua
---local keys = my_vault() -- { ak=, sk= }
---local provider = cce.credentials.static(keys)
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param opts cce.credentials.static.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.static(opts) end

---A token of IAM that you have. It cannot be renewed.
---```lua
---local token = my_token()
---local provider = cce.credentials.token(token)
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param token string|userdata
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.token(token) end

---A token of IAM in a file that only its owner can read. What replaces it there is
---taken by a living client.
---```lua
---local provider = cce.credentials.token_file "/run/secrets/iam-token"
---```
---@param path string
---@return table # a provider
function credentials.token_file(path) end

---HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK and HUAWEICLOUD_SDK_SECURITY_TOKEN; or
---HUAWEICLOUD_SDK_IDP_ID and HUAWEICLOUD_SDK_ID_TOKEN_FILE.
---```lua
---local provider = cce.credentials.environment()
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@return table # a provider
function credentials.environment() end

---The profile file of the official SDKs: sections [basic] and [global] with the
---keys ak, sk, security_token, project_id, iam_endpoint, idp_id, id_token_file.
---A file that others than its owner can use is refused.
---```lua
---local provider = cce.credentials.profile { section = "basic" }
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param opts? cce.credentials.profile.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.profile(opts) end

---The agency of the ECS that this runs on, by its metadata service at
---169.254.169.254, with or without a token as the service wants it. Renewed
---when less than 40 minutes are left. Never asked through a proxy.
---```lua
---local provider = cce.credentials.metadata()
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param opts? cce.credentials.metadata.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.metadata(opts) end

---The identity that CCE gives to a pod: HC_CONTAINER_CREDENTIALS_FULL_URI and
---HC_CONTAINER_AUTHORIZATION_TOKEN_FILE. The address is https, or http on
---loopback or link-local.
---```lua
---local provider = cce.credentials.pod_identity()
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@return table # a provider
function credentials.pod_identity() end

---An OpenID Connect ID token in a file, exchanged for a token of IAM. The file
---is read again at each renewal.
---```lua
---local robot = cce.credentials.id_token {
---  idp_id = "ci", id_token_file = "/var/run/id_token", project_id = "example",
---}
---local provider = robot
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param opts cce.credentials.id_token.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.id_token(opts) end

---A user's name and password, made into a token, which is renewed before its
---end. The same as `credentials={username=, password=, domain=}`.
---```lua
---local provider = cce.credentials.password {
---  username = "robot", password = my_password(), domain = "example",
---}
---local provider = provider
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param opts cce.credentials.password.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.password(opts) end

---Keys, made into a token, which is renewed before its end.
---```lua
---local keys = my_vault() -- { ak=, sk= }
---local provider = cce.credentials.key_token(keys)
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param opts cce.credentials.key_token.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.key_token(opts) end

---Temporary keys of an agency, renewed before their end.
---```lua
---local auditor = cce.credentials.agency { agency_name = "auditor", domain_name = "example" }
---local provider = auditor
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@param opts cce.credentials.agency.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.agency(opts) end

---Temporary keys of a token, renewed before their end.
---```lua
---local token = cce.credentials.password {
---  username = "robot", password = my_password(), domain = "example",
---}
---local client = assert(cce.new { region = "cn-north-4",
---  credentials = cce.credentials.temporary { source = token, duration = 3600 } })
---```
---@param opts cce.credentials.temporary.opts
---@return table? # a provider
---@return string? message
---@return cce.error? err
function credentials.temporary(opts) end

---A function of yours, asked when keys are needed and again 60 seconds before
---`expires_at`. The same as `credentials=function() … end`.
---```lua
---local vault = { ak = "EXAMPLEACCESSKEY", sk = "example-secret-key" }
---local provider = require("cce.credentials").custom(function()
---  return { ak = vault.ak, sk = vault.sk, expires_at = os.time() + 900 }
---end)
---```
---@param fn function returns `{ak=, sk=, security_token=}` or `{token=}`, with `expires_at` (unix time) and `project_id` if there are; or nil and a message
---@return table # a provider
function credentials.custom(fn) end

---HW_ACCESS_KEY, HW_SECRET_KEY, HW_SECURITY_TOKEN and HW_PROJECT_ID, the
---variables of Terraform.
---```lua
---local provider = cce.credentials.terraform()
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@return table # a provider
function credentials.terraform() end

---Several providers: the first that finds something is used. One that finds
---something that cannot be used ends the search with an error.
---```lua
---local provider = cce.credentials.chain {
---  cce.credentials.environment(), cce.credentials.metadata(),
---}
---```
---@param list table[]
---@return table # a provider
function credentials.chain(list) end

---What is used without `credentials=` and `token=`: the environment, the
---profile file, the metadata service and the pod identity, in the order of the
---official SDKs; then Terraform's variables, which an event announces.
---```lua
---local provider = cce.credentials.default()
---local client = assert(cce.new { region = "cn-north-4", credentials = provider })
---```
---@return table # a provider
function credentials.default() end

---Tell whether a value is a provider.
---```lua
---assert(cce.credentials.is(cce.credentials.environment()))
---```
---@param value any anything
---@return boolean #
function credentials.is(value) end

---@class cce.signer
local signer = {}

---Sign a request.
---```lua
---local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
---local headers = assert(signer:sign {
---  method = "GET", host = "example.com", path = "/", date = "20260102T030405Z",
---})
---print(headers.Authorization)
---```
---@param spec cce.signer.sign.spec
---@return table? # the headers to send: those given, Host, X-Sdk-Date, X-Security-Token (if any) and Authorization
---@return string? message
---@return cce.error? err
function signer:sign(spec) end

---Prepare a request of which only a part changes: the rest is read, checked and sorted once.
---```lua
---local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
---local prepared = assert(signer:prepare {
---  method = "POST", host = "example.com", path = "/clusters/{cluster_id}/clustercert",
---  headers = { ["Content-Type"] = "application/json" },
---})
---local headers = assert(prepared:sign { cluster_id = "cluster-1", body = '{"duration":30}' })
---print(headers.Authorization)
---```
---@param spec table as for `sign`; `path`, `query`, `body` and `date` may be left to `prepared:sign`. `path` may have places for ids: `/clusters/{cluster_id}/clustercert`. A path with other braces is left to `prepared:sign`
---@return cce.prepared? # with the methods `sign(changes)` and `close()`. `changes` may have `path`, `query`, `body` and `date`, which win over those prepared (a date that was prepared stays), and a string for each place of the path. It returns what `signer:sign` of the whole returns
---@return string? message
---@return cce.error? err
function signer:prepare(spec) end

---Show how a request is signed, stage by stage.
---```lua
---local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
---print(assert(signer:explain { method = "GET", host = "example.com", path = "/" }).string_to_sign)
---```
---@param spec table as for `sign`
---@return table? # `{canonical_request=, string_to_sign=, signature=, authorization=}`
---@return string? message
---@return cce.error? err
function signer:explain(spec) end

---Wipe the keys. Later calls raise.
---```lua
---local signer = assert(cce.signer { ak = "AccessKey", sk = "SecretKey" })
---signer:close()
---```
function signer:close() end

---@class cce.progress
local progress = {}

---Takes the new counts, and draws when it is time.
---```lua
---local bar = cce.progress { total = 10 }
---bar:update(4, 1) -- four have ended, one of them failed
---```
---@param done number how many have ended, failed ones too
---@param failed? number how many of them failed
function progress:update(done, failed) end

---Takes the bar away, so that something else can be written where it was; the
---next update draws it again. Does nothing where there is no terminal.
function progress:clear() end

---Draws the end: all counts and how long it took; nothing when nothing was done. Later
---updates do nothing.
---```lua
---local bar = cce.progress { total = 1 }
---bar:update(1)
---bar:finish()
---```
function progress:finish() end

---@class cce.metrics_module
local metrics_module = {}

---Make an empty collection.
---```lua
---local metrics = cce.metrics.new()
---local watched = assert(cce.new { region = "cn-north-4", on_event = metrics:observer() })
---print(metrics:text())
---```
---@param opts? cce.metrics_module.new.opts
---@return cce.metrics #
function metrics_module.new(opts) end

---@class cce.metrics
local metrics = {}

---Count an event of a client or of a runner. It keeps nothing else of it.
---```lua
---local metrics = cce.metrics.new()
---metrics:observe { type = "attempt", operation = "show_cluster", status = 200 }
---assert(metrics:text():find('cce_requests_total{code="ok",operation="show_cluster"} 1', 1, true))
---```
---@param event table
function metrics:observe(event) end

---Note that a runner has looked at its schedule: for `on_look` of `schedule:run`.
---```lua
---local metrics = cce.metrics.new()
---local opts = { on_event = metrics:observer(), on_look = function() metrics:looked() end }
---```
function metrics:looked() end

---A function for `on_event`.
---```lua
---local metrics = cce.metrics.new()
---local on_event = metrics:observer(function(event) end)
---```
---@param next_observer? function is called with each event, too
---@return function #
function metrics:observer(next_observer) end

---The metrics in Prometheus' text format, version 0.0.4.
---```lua
---print(cce.metrics.new():text())
---```
---@return string #
function metrics:text() end

---@class cce.report
---@field ok table[]
---@field failed table[]
---@field skipped table[]
---@field uncertain table[]
---@field pending table[]
---@field notes string[]
---@field started number
---@field ended? number
---@field duration? number
---@field stopped? string
---@field already_finished? number
---@field dry_run? boolean
---@field plan? string[]
---@field undo? string
local report = {}

---How many of each.
---```lua
---local report = assert(cce.workflow.issue(client, { dir = "team.d", duration = 1 }))
---print(report:counts().failed)
---```
---@return table # `{ok=, failed=, skipped=, uncertain=, pending=, total=}`
function report:counts() end

---What a script should end with, the first that applies: 1 something failed for good;
---2 something is open: uncertain or pending; 3 nothing was done, since the run had
---closed before, with all ok; 0. What a rule excludes is no failure; a cluster where it cannot
---be done (its code is `UNSUPPORTED`) is one.
---```lua
---local report = assert(cce.workflow.rotate(client, { clusters = ids, canary = 1 }))
---print(report)
---os.exit(report:exit_code())
---```
---@return integer #
function report:exit_code() end

---The report as tables, strings, numbers and booleans alone, as JSON can hold. Moments are text
---as RFC 3339 has it.
---```lua
---local report = assert(cce.workflow.issue(client, { dir = "team.d", duration = 1 }))
---print(core.json.encode(report:to_table()))
---```
---@return table # the lists, `counts`, `exit_code`, and the other fields
function report:to_table() end

---The report for people.
---@param limit? integer columns of the terminal; without it no line is broken
---@return string # several lines
function report:text(limit) end

---@class cce.workflow
local workflow = {}

---Kubeconfigs for many clusters, in a directory or merged into one file.
---
---One that is there, has `min_remaining` seconds left and is not refused by its
---cluster is kept; so the same call, every night, obtains just what nears its end or
---was revoked, and after an interrupt goes on where it was. Before anything is
---obtained, it is proved that it can be saved; what cannot be saved after all is kept
---in `$XDG_STATE_HOME/cce/recovered`, and `err.recovered` of the item names it. Each
---cluster's contexts are named after it (`prod`, and with a public address also
---`prod-internal` and `prod-external`); clusters of the same name get their region,
---project or id behind it, and a name once given stays. The plain name is that of a
---context that verifies TLS. Files are written with mode 0600 and in one step; what is
---not ours in them stays, and so does a user whose certificate comes from `cce
---credential`. In a merged file a name that something else has is a CONFLICT.
---The old file is kept beside a merged one, as `<path>.bak`.
---```lua
---local report = assert(cce.workflow.issue(client, {
---  duration = 30, merge_into = os.getenv "HOME" .. "/.kube/config",
---}))
---print(report)
---os.exit(report:exit_code())
---```
---@param client cce.client|cce.client[] one for each region and project
---@param opts cce.workflow.issue.opts
---@return cce.report? # its items also have `path`, `context`, `renewed`, `expires_at` (unix time), `asked`: "works" or "not asked"
---@return string? message
---@return cce.error? err
function workflow.issue(client, opts) end

---Rotate the certificates of many clusters, so that it may be interrupted at
---any moment and begun again.
---
---With a journal, what is meant is on disk before a request leaves. A start
---with the same journal and the same plan (clusters, projects, component and
---what goes with it) resumes a run that did not end: it sends to no cluster
---twice. Requests whose outcome is not known are settled by evidence alone (a
---new rotation job of the cluster, or a trace of CTS); else they stay
---`uncertain`, with a hint that says how to settle them. Without a journal
---nothing can be resumed. A line of the journal is on disk before the run goes
---on: inside nginx the run yields meanwhile, inside an event loop the process
---stands still for that long.
---
---**Open and closed.** A run is open until each cluster is settled. Final are those
---that are ok, that were refused for good (an invalid request, no such cluster), whose
---job failed, that are excluded by a rule, or that a person gave up. Open are those
---that are `uncertain`, and those that are `pending` with their reason: not begun, a
---key or a permission that was refused, not Available, locked, throttled, no network;
---and a kubeconfig of `reissue` that is still owed. The same call again settles what
---is uncertain by evidence, waits for jobs that run, does what is pending, and writes
---what is owed. When nothing is open it sends nothing, and `already_finished` says
---since when. A job that failed is sent again only by `retry_failed`.
---
---**Run names.** `run=` names a run, and another name begins another one in the same
---journal. So a nightly line of cron has one journal and a name that changes: `run =
---os.date "%Y-%m-%d"`. What is pending in the night before is handed over to the new
---run; a cluster that is uncertain there is left alone until it is settled, by evidence
---or by a person (`cce runs settle`). The same name, or none, with another plan is an
---error: `cce runs discard` ends a run. A path that holds the date would not do
---that: what the night before had done would be rotated again.
---
---**Before.** Clusters older than v1.19 are excluded, and so is, with
---`unless_rotated_within`, what CTS or the cluster's last job shows to have been rotated
---since then; where neither tells, the cluster stays pending. Credentials that may not look
---at the clusters of a project, or at their jobs, are refused with PERMISSION_DENIED before
---anything is sent. Whether they may rotate cannot be told without rotating: `canary=1`
---shows it at one cluster.
---
---**Stopping.** Until `canary` clusters are ok, nothing else is begun: a canary that
---failed or is uncertain stops the run, and so does `max_failures`; `report.stopped`
---says why, and what would settle it. Once a key is refused, nothing more is sent with
---it. The same call goes on; `canary=0`, or another `max_failures`, in spite of it.
---These, `windows`, `wait`, `repair`, `reissue`, `concurrency` and `rate_limit` are not part of
---the plan.
---
---**Windows.** Outside of `windows`, and inside of what `except` names, no cluster is begun; one
---that was begun is followed to its end. When they close the call ends: what is left is pending,
---`report.next_window` says when they open again, and the same call goes on then. A run keeps the
---windows that it was begun with, unless the call names others; `windows=false` goes on at all
---times. A window belongs to the day on which it begins; what counts is what the clock on the wall
---shows in `zone`. (A blackout is `except`, since `not` is a word of Lua.)
---```lua
---local report = assert(cce.workflow.rotate(client, {
---  clusters = { name = "prod-*", status = "Available" },
---  journal = "/var/lib/cce/rotate.journal", run = os.date "%Y-%m-%d",
---  canary = 1, max_failures = "10%", on_progress = cce.progress { label = "rotate" },
---}))
---print(report)
---os.exit(report:exit_code())
---```
---@param clients cce.client|cce.client[] one, or one for each project
---@param opts cce.workflow.rotate.opts
---@return cce.report? #
---@return string? message
---@return cce.error? err
function workflow.rotate(clients, opts) end

---Revoke what a user or an agency holds, on many clusters at once.
---
---**Revoking is not removing.** A principal that still has rights in IAM can obtain a new
---certificate at once: the report says of each principal "can obtain again: still
---enabled in IAM", "no" or "unknown", the last when IAM may not be asked.
---Remove the rights first, then revoke. A revocation cuts every certificate that
---the principal holds in the cluster, newer ones too; what CTS shows to have been
---obtained since an earlier revocation is named in `report.notes`.
---
---**What is not done.** Clusters that are not Available are `pending`: there the
---certificates stay valid until the same call is made again. Those whose version is too
---old are `failed`. Where only the line of a version is known ("v1.27"), the API is
---asked. The caller's own principal is refused without `allow_self`.
---
---**Whose.** An id is known by IAM, by CTS's deletions and downloads, by the client's
---audit log (which names the holder of each certificate that was obtained), by `knows`, or
---by a certificate (`kubeconfig=`, `certificate=`) in the clusters whose CA issued it. That
---it was once revoked shows nothing. A request about an id that is not known is
---sent, and then `uncertain`: "nobody is known by this id", unless `unknown_ok`. When
---IAM cannot be asked, an emergency is not held up: it is sent, and `ok`, "not checked".
---
---**verify** asks each cluster with a kubeconfig of the principal, before and after;
---what came of it is `verified`. "yes": it worked before and is now refused (401 or a TLS
---alert), for which up to 30 seconds are given. "no": it still works (200 or 403), and is
---`failed` with the code NOT_REVOKED. "no answer": it was asked and gave none, and is
---`uncertain` with the code UNVERIFIED. "no kubeconfig": there is none for this cluster
---that worked before; what was accepted is `ok` all the same.
---
---**remove** takes away rights in the clusters, too: after the certificates are cut, the principal
---leaves the subjects of RoleBindings and ClusterRoleBindings, by the cluster's own API, and
---AccessPolicies that reach none but the chosen clusters. Only that subject goes; a binding
---stays, if need be without subjects. What a group gives him is named, and not touched:
---`left` where his certificate says that he is in it, else `perhaps`. Who may come back by
---what is left is no success (exit code 1). Before anything is taken it is
---written to the undo file, from which `cce.workflow.restore` puts it back. Edits of others
---are not lost: what was changed meanwhile is read anew, by its resourceVersion; AccessPolicies
---have no such thing, and are looked at again instead. Done is only who was seen to be in none;
---what is not known is `pending`, and the same call goes on with it. Without `admin` for a
---cluster, a certificate of the caller for 15 minutes is obtained, for a dry run as well.
---
---**Runs.** With a journal, the same call goes on with what is open, as for
---`cce.workflow.rotate`: what is done is not sent again, so that nothing that was
---obtained since is cut; what was accepted is only verified again; what is not known, or
---pending, is sent, and `may_have_cut_newer` counts from the first time. Whom
---`deleted_since` found stays the list of that run. A run of which nothing is open is not
---repeated, and `run=` names the next one. A revocation does not wait for a journal that
---cannot be written any more: the report says so.
---
---Items of the report have, beside the fields of `cce.report`, `principal_id`,
---`principal_kind`, `can_obtain_again`, `verified` (nil when it was not asked for),
---`may_have_cut_newer` and `cut_again`, with `remove` also `rights` ("removed" or "none", nil when
---it is not done), and the texts `removed`, `left` and `perhaps`; the report has `principals`,
---with `deleted_since` `window`, and `undo`, the path of the undo file, if anything was taken.
---```lua
---print(assert(cce.workflow.revoke(client, { clusters = { name = "*" }, user_id = leaver,
---  remove = true, admin = { [cluster_id] = "admin.kubeconfig" } })))
---```
---@param clients cce.client|cce.client[] one, or one for each project
---@param opts cce.workflow.revoke.opts exactly one of user_id, agency_id, kubeconfig, certificate, principals and deleted_since
---@return cce.report? #
---@return string? message
---@return cce.error? err
function workflow.revoke(clients, opts) end

---Put back into bindings and AccessPolicies whom `cce.workflow.revoke` took out of them,
---by its undo file: each where they stood among the others. What others changed since stays.
---
---Who is there already is left alone, so that it can be done twice. A binding that is
---gone, or gives another role by now, is `failed`, and not made again. Certificates
---stay revoked.
---```lua
---local report = assert(cce.workflow.revoke(client, { clusters = { name = "*" },
---  user_id = leaver, remove = true }))
---if report.undo then print(assert(cce.workflow.restore(client, { undo = report.undo }))) end
---```
---@param clients cce.client|cce.client[] one, or one for each project
---@param opts cce.workflow.restore.opts
---@return cce.report? # an item for each cluster, and for each AccessPolicy
---@return string? message
---@return cce.error? err
function workflow.restore(clients, opts) end

---Give access to a cluster for a while.
---
---The client is the grantee's own: with credentials that assume an agency, or the
---grantee's keys, which `grantee` says, since obtaining returns the caller's own
---certificate. A client that may be the caller's own is refused without `allow_self`: its
---identity would be handed out, and be cut off at the end. The end is put
---into the schedule first; revoking cuts all certificates of that principal in the
---cluster, also those that were obtained elsewhere. Something must run the schedule, with
---a client that may revoke: `schedule:run`.
---
---When `expire_at` is known to the service the certificate ends by itself too, a
---minute after the shortest grant of 15 minutes at the earliest. Where the principal
---cannot be looked up and the one that was given is wrong, the certificate that came
---is revoked at once, and this fails; only a crash between these two steps leaves
---such a certificate, whose key is lost.
---```lua
---local grant = assert(cce.workflow.grant(client, schedule,
---  { cluster_id = cluster_id, seconds = 3600, grantee = true }))
---assert(grant.kubeconfig:save("kubeconfig.json"))
---assert(grant:finish())
---```
---@param client cce.client
---@param schedule cce.schedule
---@param opts cce.workflow.grant.opts
---@return cce.grant? # `{kubeconfig=, id=<of the entry>, expires_at=<unix time>, principal={kind=, id=}, cluster_id=}`
---@return string? message
---@return cce.error? err
function workflow.grant(client, schedule, opts) end

---Whether a row is one of somebody who can get in, as far as is known.
function workflow.is_in() end

---List who holds or may hold a working certificate.
---```lua
---local holders = assert(cce.workflow.holders(client, { clusters = { name = "prod-*" } }))
---print(holders)
---```
---@param client cce.client|cce.client[]
---@param opts? cce.workflow.holders.opts
---@return table[]? # by cluster and name, each `{cluster_id=, cluster_name=, kind=, id=, name=, state=, iam=, obtained=, latest_end=, revoked=, rotated=, due=, rights={…}, evidence={…}}`. `rights` are the bindings and AccessPolicies that name them, each with its role; what a group gives is not among them, and said. `state` is "holds" (a certificate is on record that ends later), "may" (its end is not on record), or why none works: "revoked", "rotated" (by a job that has ended well, or is forgotten), "ended"; "unknown" when nothing was obtained as far as is known. `iam` is "enabled", "disabled", "deleted" or "unknown". Times are unix seconds. The list has `blind`, sentences on what it cannot see, `unasked`, why CTS was not asked, if it was not, and `:exit_code()`
---@return string? message
---@return cce.error? err
function workflow.holders(client, opts) end

---@class cce.grant
---@field id string
---@field kubeconfig cce.kubeconfig
---@field expires_at number
local grant = {}

---Hold it longer. The later end is on disk first; then another certificate is
---obtained, since the one that was handed out ends by itself.
---```lua
---assert(grant:extend(1800))
---```
---@param seconds number by which the end is later, from 900 on
---@return boolean? # true; `grant.kubeconfig` and `grant.expires_at` are new
---@return string? message
---@return cce.error? err
function grant:extend(seconds) end

---End it now. A shared one ends when the last of those who share it ends it, or
---at its time.
---```lua
---assert(grant:finish())
---```
---@return boolean? # true
---@return boolean|string? # message
---@return cce.error? err
function grant:finish() end

---@class cce.schedule
local schedule = {}

---Close the schedule. What is in it stays.
function schedule:close() end

---Revoke a user's or an agency's certificates in a cluster, at a time.
---
---A time that has passed is due at once; one more than a year ago is refused.
---```lua
---local id = assert(schedule:revoke_at(os.time() + 3600,
---  { cluster_id = cluster_id, user_id = contractor }))
---```
---@param time number|string unix time, or ISO 8601 with its zone, such as "2026-11-27T18:00:00+08:00"
---@param opts cce.schedule.revoke_at.opts
---@return string? # id of the entry, which is on disk
---@return string? message
---@return cce.error? err
function schedule:revoke_at(time, opts) end

---Rotate clusters once, at a time, by a run of `cce.workflow.rotate` with a journal of its own.
---
---It is done when its run is closed with every cluster ok. Else what is open is tried again, and it
---is overdue, until it is done or a person cancels it.
---```lua
---local id = assert(schedule:rotate_at(os.time() + 86400, { clusters = { name = "prod-*" },
---  canary = 1 }))
---```
---@param time number|string as for `revoke_at`; moved to the next moment that the windows allow
---@param opts table as for `rotate_every`, without `first`
---@return string? # id of the entry, which is on disk
---@return string? message
---@return cce.error? err
function schedule:rotate_at(time, opts) end

---Rotate clusters again and again, each time by a run of `cce.workflow.rotate`
---with a journal of its own.
---
---A time is done when its run is closed with every cluster ok. Else what is open is
---tried again, and it is overdue, until it is done, or a person cancels or accepts it.
---When the next time comes it is closed as *missed*: `schedule:run` tells of it with the
---names of its clusters, and the new run takes over what is pending; a cluster that is
---uncertain is left alone until it is settled.
---
---Times are `first` and whole intervals after it, each moved to the next moment
---that the windows allow. What was missed while no runner ran is done once, inside
---of them; what is not begun when they close goes on when they open again. Of what they never let
---begin again the end is *missed*, too, and the entry is cancelled. Cron expressions are not
---understood.
---```lua
---local id = assert(schedule:rotate_every("4w", { clusters = { name = "prod-*" }, canary = 1,
---  windows = "sat 01:00-05:00", except = "2026-12-20/2027-01-05", zone = "+08:00" }))
---```
---@param interval number|string seconds, or such as "12h", "7d" or "4w"
---@param opts cce.schedule.rotate_every.opts
---@return string? # id of the entry, which is on disk
---@return string? message
---@return cce.error? err
function schedule:rotate_every(interval, opts) end

---Get an entry.
---@param id string
---@return table? # the entry
---@return string? message
---@return cce.error? err
function schedule:get(id) end

---List entries, the oldest first, a page at a time.
---```lua
---print(assert(schedule:list { status = "failed-retrying" }))
---```
---@param opts? cce.schedule.list.opts
---@return table[]? # entries; `next` is there when more may follow
---@return string? message
---@return cce.error? err
function schedule:list(opts) end

---Cancel an entry. Of a cancellation and a run that meet, one wins; the other is
---told.
---@param id string
---@return boolean? # true
---@return string? message
---@return cce.error? err
function schedule:cancel(id) end

---Try an entry that failed again, at once. What is pending is not touched: nothing
---happens before its time.
---@param id string
---@param opts? cce.schedule.retry.opts
---@return boolean? # true
---@return string? message
---@return cce.error? err
function schedule:retry(id, opts) end

---Leave what recurs at what was done of it: it is not overdue any more, and waits for
---its next time. What was pending or uncertain of it is forgotten.
---@param id string
---@return boolean? # true
---@return string? message
---@return cce.error? err
function schedule:accept(id) end

---Do an entry now, before its time: the runner of the schedule does it next. So a
---grant can be ended by another than its holder; a shared one ends for all.
---```lua
---local id = assert(schedule:revoke_at(os.time() + 3600,
---  { cluster_id = cluster_id, user_id = leaver }))
---assert(schedule:hasten(id))
---```
---@param id string
---@return boolean? # true
---@return string? message
---@return cce.error? err
function schedule:hasten(id) end

---Do what is due, when it is due.
---
---Any number of runners may work at one schedule, in any number of processes: an
---entry is claimed by one of them, under a lease. A request leaves only while its
---runner's lease lasts, and not before the entry's time, also by the clock of the
---API once that has refused one for a clock that is minutes ahead; that it is about
---to leave is in the store before, its outcome after. What a
---runner that died left is taken over when its lease has ended. What fails is tried
---again for ever, after a random time below a bound that grows to five minutes, or
---to an hour where a person must mend something. While the store cannot be reached
---the runner waits, and goes on.
---
---Without `once` and `until_idle` it goes on until it is stopped: by `stop`, by
---`on_event` returning false or, in a plain script, by SIGINT or SIGTERM. Then
---nothing new is begun, what is under way ends, within the lease, and what was
---claimed is given back.
---
---Events are tables with `type` and `at`; those of an entry have `id`, `kind`,
---`cluster_id`, `user_id` or `agency_id`, `due`, `attempts`, …:
---
---* `done`: `late` seconds, `request_id`
---* `failed`: `code`, `message`, `maybe_applied`; it is tried again at `next_try`
---* `overdue`: it should have been done `seconds` ago; told at growing intervals, and
---  at once where only a person can mend it
---* `missed`: the next time of what recurs has come, and this one is not done:
---  `clusters`, those that are not ok, and `next_due`; without it the windows never open
---  again, and nothing was begun
---* `resent`: the request may have left before, at `first_intent`; with
---  `may_have_cut_newer` that is more than ten minutes ago, so that certificates
---  which were issued since are cut, too
---* `rotated`: a call of a rotation ended: `ok`, `failed`, `skipped`, `uncertain` and
---  `pending` clusters, `report`, `journal`; `resumed`: one that was begun before goes on
---* `superseded`: another writer, such as a cancellation, was faster; `state`
---* `quarantined`: what cannot be read; `message`
---* `lease_lost`, `store_unavailable`, `store_available`
---```lua
---local result = assert(schedule:run(function(entry)
---  return cce.new { region = entry.region }
---end, { once = true, on_event = function(event) print(event.type, event.id) end }))
---os.exit((result.overdue > 0 or result.missed) and 4 or 0)
---```
---@param client_for function called with a copy of an entry, returns the `cce.client` for it, or nil and why there is none; which may differ by `region`, `project_id` or `grant`. The clients remain the caller's.
---@param opts? cce.schedule.run.opts
---@return table? # `{done=, failed=, pending=, overdue=}`: how many entries this call has done, how many wait to be tried again, how many are pending, and how many of both should have been done by now (of the pending ones at least, up to 100); `missed`: how many times of what recurs were closed without being done, nil when there are none; `quarantined`: how many cannot be read and so are not done, nil when there are none; `stopped`: why it ended early; `err`: why the counts are not known
---@return string? message
---@return cce.error? err
function schedule:run(client_for, opts) end

---Write all entries to a file: JSON lines, mode 0600, whole or not at all. It may
---be imported into a store of either kind. Sessions of runners are not in it: stop
---the runners first, or what they do meanwhile is done twice.
---```lua
---assert(schedule:export "schedule.jsonl")
---```
---@param path string
---@return number? # of entries
---@return string? message
---@return cce.error? err
function schedule:export(path) end

---Put in what `schedule:export` wrote. Entries whose id is here already are left as
---they are, so that the same call can be made again. What a runner held is waiting
---again; what was being sent counts as failed, to be tried again. A file with a line
---that is no entry is refused as a whole.
---@param path string
---@param opts? cce.schedule.import.opts
---@return table? # `{added=, existing=}`
---@return string? message
---@return cce.error? err
function schedule:import(path, opts) end

---@class cce.schedules
local schedules = {}

---Open a schedule.
---```lua
---local schedule = assert(cce.schedule.open "sqlite:schedule.db")
---```
---@param where string "sqlite:<path>" for the processes of one machine (a new file gets mode 0600; its directory must exist; not inside nginx; a child after fork opens it anew), or "etcd:<url>[,<url>...]/<prefix>"
---@param opts? cce.schedules.open.opts
---@return cce.schedule? #
---@return string? message
---@return cce.error? err
function schedules.open(where, opts) end

---@class cce.openresty
local openresty = {}

---Run a schedule in this worker: to be called in `init_worker_by_lua`, so that each
---worker of each gateway does it. What is due is done once, by one of them.
---
---No request waits for it. Between what is due the worker sleeps, at most three
---seconds at a time. At a quit or a reload nothing new is begun, and what is being
---sent ends, within the lease; `worker_shutdown_timeout` should be longer. What is
---overdue, cannot be read, fails or is sent again is logged.
---```lua
---assert(cce.openresty.schedule {
---  store = "etcd:http://127.0.0.1:2379/cce", client_for = function() return client end,
---})
---```
---@param opts cce.openresty.schedule.opts those of `schedule:run` (`lease`, `concurrency`, `keep`, `on_event`, `on_look`, `runner`, `journal_dir`, `retry`), and
---@return table? # with `stop()`
---@return string? message
---@return cce.error? err
function openresty.schedule(opts) end

---@class cce.audit_log
---@field path string
---@field count integer
---@field head string
local audit_log = {}

---Close the log, so that another process can open it. Later calls that would be
---logged fail.
---```lua
---local log = assert(cce.audit_log.open("/var/log/cce.log"))
---log:close()
---```
function audit_log:close() end

---@class cce.audit_logs
local audit_logs = {}

---Open a log, or make one. `cce.new { audit_log = log }` uses it; so does
---`cce.new { audit_log = path }` with no options.
---
---Inside nginx it is for workers: the master's, in init_by_lua, would be no worker's.
---Two logs of one path in a worker are two files.
---```lua
---local log = assert(cce.audit_log.open("/var/log/cce.log", { on_failure = "warn" }))
---local client = assert(cce.new { region = "cn-north-4", audit_log = log })
---```
---@param path string made with mode 0600; inside nginx the worker's number is appended, as said above
---@param opts? cce.audit_logs.open.opts
---@return cce.audit_log? #
---@return string? message
---@return cce.error? err
function audit_logs.open(path, opts) end

---Whether a value is a log.
---```lua
---assert(not cce.audit_log.is("/var/log/cce.log"))
---```
---@return boolean #
function audit_logs.is() end

---Check a log from its first line to its last.
---
---A log that was rotated is a series of files, each of which goes on with the chain
---of the one before: give them all, in any order. Of one of them alone, `first` and
---`continues` say that others come before it.
---
---Without `head` and `count` it cannot be seen whether lines are missing at the
---end. A last line without an end, as a power cut leaves it, counts as changed
---until the log is opened again, which cuts it off.
---```lua
---local state = assert(cce.audit_log.verify("/var/log/cce.log", { head = kept, count = n }))
---```
---@param paths string|string[]
---@param opts? cce.audit_logs.verify.opts
---@return table? # `{count=, head=}` as they are now; `first`, the number of its first line; `continues`, the path of the file before, if that was not given
---@return string? message
---@return cce.error? err
function audit_logs.verify(paths, opts) end

---@class cce.regions
local regions = {}

---The names of all regions that are known, in the order of the alphabet.
---```lua
---for _, name in ipairs(cce.region.names()) do print(name) end
---```
---@return string[] #
function regions.names() end

---The addresses of a region's services.
---
---A region without an IAM of its own gets the global one of
---`myhuaweicloud.com`. But `eu-west-101` belongs to the separate European cloud,
---and has its IAM there.
---```lua
---local region = require "cce.region"
---assert(region.endpoints("ap-southeast-3").cce == "https://cce.ap-southeast-3.myhuaweicloud.com")
---local none, message, err = region.endpoints("ap-southest-3")
---assert(err.code == "NO_ENDPOINT" and message:find("near it are: ap%-southeast%-3"))
---```
---@param region string such as "eu-west-101"
---@return table? # { cce=, iam=, sts= }, https addresses without a path; `sts` is nil where the region has none
---@return string? message
---@return cce.error? err
function regions.endpoints(region) end

---@class cce.errors
local errors = {}

---Turn the `nil, message, code` of `cce.core` into `nil, message, err`; pass
---on a result.
---```lua
---return errors.from_core(core.certificate(pem))
---```
---@param value any a result, or nil
---@param message string
---@param code string
---@return any? #
---@return string? message
---@return cce.error? err
function errors.from_core(value, message, code) end

---Tell whether a value is an error of this library.
---```lua
---local ok, message, err = client:show_cluster("no-such-cluster")
---assert(not ok and cce.error.is(err))
---```
---@param value any anything
---@return boolean #
function errors.is(value) end

return cce
