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
        "src/buf.c",
        "src/core.c",
        "src/lcertificate.c",
        "src/lengine.c",
        "src/lfile.c",
        "src/loperation.c",
        "src/lsecret.c",
        "src/lsign.c",
        "src/lsys.c",
        "src/lutil.c",
        "src/status.c",
      },
      defines = { "_GNU_SOURCE" },
      libraries = { "curl", "crypto", "pthread", "m" },
      libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)" },
    },
    ["cce"] = "lua/cce/init.lua",
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
