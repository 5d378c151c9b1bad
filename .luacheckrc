-- One source for five Luas: only what all of them have, and the few names that
-- code may look for by asking (`table.unpack or unpack`).
stds.cce = {
  read_globals = {
    "jit", "loadstring", "setfenv", "unpack",
    table = { fields = { "unpack" } },
    package = { fields = { "searchpath" } },
    math = { fields = { "type", "tointeger" } },
    coroutine = { fields = { "isyieldable" } },
  },
}

std = "min+cce"
max_line_length = 100
self = false
cache = false

files["lua/cce/sim"].std = "min+cce+ngx_lua"
files["lua/cce/openresty.lua"].std = "min+cce+ngx_lua"
files["lua/cce/host/nginx.lua"].std = "min+cce+ngx_lua"
files["examples/nginx"].std = "min+cce+ngx_lua"
files["examples/schedule"].std = "min+cce+ngx_lua"
files["bench/server"].std = "min+cce+ngx_lua"
files["spec"].std = "min+cce+busted"
files["config.ld"].std = "ldoc"
files[".busted"].std = "min"
