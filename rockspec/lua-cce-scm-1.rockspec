rockspec_format = "3.0"
package = "lua-cce"
version = "scm-1"
source = {
  url = "git+https://example.org/lua-cce/lua-cce.git",
}
description = {
  summary = "Cluster certificates of Huawei Cloud CCE: obtain, revoke, rotate",
  detailed = [[
    Obtains the kubeconfig of a CCE cluster, revokes a user's certificate and
    rotates a cluster's credentials, for one cluster or a fleet, from scripts,
    from OpenResty and from the prompt. The core is C on libcurl and OpenSSL.
  ]],
  license = "MIT",
  labels = { "huaweicloud", "kubernetes", "certificates", "openresty" },
}
supported_platforms = { "linux" }
dependencies = {
  "lua >= 5.1, < 5.5",
  "lua-cjson >= 2.1.0",
}
-- Only `library`: where the headers are differs too much between systems, and
-- the compiler finds them.
external_dependencies = {
  CURL = { library = "curl" },
  CRYPTO = { library = "crypto" },
}
build = {
  type = "builtin",
  modules = {
    -- tools/rockspec.lua writes from here
    ["cce.core"] = {
      sources = {
        "src/base64.c",
        "src/buf.c",
        "src/certificate.c",
        "src/core.c",
        "src/digest.c",
        "src/endpoint.c",
        "src/engine.c",
        "src/engine_thread.c",
        "src/file.c",
        "src/journal.c",
        "src/lcertificate.c",
        "src/ldigest.c",
        "src/lengine.c",
        "src/lfile.c",
        "src/ljournal.c",
        "src/loperation.c",
        "src/lsecret.c",
        "src/lsign.c",
        "src/lsys.c",
        "src/lutil.c",
        "src/operation.c",
        "src/secret.c",
        "src/sign.c",
        "src/sigpipe.c",
        "src/status.c",
        "src/sys.c",
        "src/transfer.c",
        "src/uri.c",
      },
      defines = { "_GNU_SOURCE" },
      libraries = { "curl", "crypto", "pthread", "m" },
      libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)" },
    },
    ["cce.call"] = "lua/cce/call.lua",
    ["cce.cli"] = "lua/cce/cli.lua",
    ["cce.client"] = "lua/cce/client.lua",
    ["cce.cluster"] = "lua/cce/cluster.lua",
    ["cce.configuration"] = "lua/cce/configuration.lua",
    ["cce.diagnosis"] = "lua/cce/diagnosis.lua",
    ["cce.endpoints"] = "lua/cce/endpoints.lua",
    ["cce.error"] = "lua/cce/error.lua",
    ["cce.host"] = "lua/cce/host.lua",
    ["cce.host.loop"] = "lua/cce/host/loop.lua",
    ["cce.host.nginx"] = "lua/cce/host/nginx.lua",
    ["cce.host.protect"] = "lua/cce/host/protect.lua",
    ["cce.host.script"] = "lua/cce/host/script.lua",
    ["cce.host.waiting"] = "lua/cce/host/waiting.lua",
    ["cce"] = "lua/cce/init.lua",
    ["cce.job"] = "lua/cce/job.lua",
    ["cce.json"] = "lua/cce/json.lua",
    ["cce.kubeconfig"] = "lua/cce/kubeconfig.lua",
    ["cce.kubeconfig.merge"] = "lua/cce/kubeconfig/merge.lua",
    ["cce.kubeconfig.names"] = "lua/cce/kubeconfig/names.lua",
    ["cce.kubeconfig.patch"] = "lua/cce/kubeconfig/patch.lua",
    ["cce.kubeconfig.read"] = "lua/cce/kubeconfig/read.lua",
    ["cce.kubeconfig.redact"] = "lua/cce/kubeconfig/redact.lua",
    ["cce.kubeconfig.store"] = "lua/cce/kubeconfig/store.lua",
    ["cce.kubeconfig.yaml"] = "lua/cce/kubeconfig/yaml.lua",
    ["cce.map"] = "lua/cce/map.lua",
    ["cce.options"] = "lua/cce/options.lua",
    ["cce.progress"] = "lua/cce/progress.lua",
    ["cce.rate"] = "lua/cce/rate.lua",
    ["cce.region"] = "lua/cce/region.lua",
    ["cce.region_data"] = "lua/cce/region_data.lua",
    ["cce.response"] = "lua/cce/response.lua",
    ["cce.retry"] = "lua/cce/retry.lua",
    ["cce.show"] = "lua/cce/show.lua",
    ["cce.signer"] = "lua/cce/signer.lua",
    ["cce.sim.account"] = "lua/cce/sim/account.lua",
    ["cce.sim.addresses"] = "lua/cce/sim/addresses.lua",
    ["cce.sim.auth"] = "lua/cce/sim/auth.lua",
    ["cce.sim.cce"] = "lua/cce/sim/cce.lua",
    ["cce.sim.config"] = "lua/cce/sim/config.lua",
    ["cce.sim.control"] = "lua/cce/sim/control.lua",
    ["cce.sim.errors"] = "lua/cce/sim/errors.lua",
    ["cce.sim.faults"] = "lua/cce/sim/faults.lua",
    ["cce.sim.gateway"] = "lua/cce/sim/gateway.lua",
    ["cce.sim.iam"] = "lua/cce/sim/iam.lua",
    ["cce.sim"] = "lua/cce/sim/init.lua",
    ["cce.sim.json"] = "lua/cce/sim/json.lua",
    ["cce.sim.kubeconfig"] = "lua/cce/sim/kubeconfig.lua",
    ["cce.sim.kubernetes"] = "lua/cce/sim/kubernetes.lua",
    ["cce.sim.log"] = "lua/cce/sim/log.lua",
    ["cce.sim.nginx"] = "lua/cce/sim/nginx.lua",
    ["cce.sim.pki"] = "lua/cce/sim/pki.lua",
    ["cce.sim.random"] = "lua/cce/sim/random.lua",
    ["cce.sim.signature"] = "lua/cce/sim/signature.lua",
    ["cce.sim.state"] = "lua/cce/sim/state.lua",
    ["cce.sim.times"] = "lua/cce/sim/times.lua",
    ["cce.sim.tls"] = "lua/cce/sim/tls.lua",
    ["cce.sim.versions"] = "lua/cce/sim/versions.lua",
    ["cce.sim.worker"] = "lua/cce/sim/worker.lua",
    -- to here
  },
  install = {
    bin = { cce = "bin/cce" },
  },
}
test = {
  type = "command",
  command = "make test",
}
