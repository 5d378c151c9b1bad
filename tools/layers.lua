-- Fails on an arrow that runs up between the layers of src/ and lua/:
--   lua tools/layers.lua [directory]
-- An arrow is an #include, or a string that names a module of ours: `require` at
-- any place, and the tables by which modules are loaded when they are first used.

local ROOT = (arg[1] or ".") .. "/"

-- From the lowest. A file may use its own layer and those before it.
local C_LAYERS = { "core", "os", "net", "lua" }

-- Headers of others by the only layer that may include them.
local ONLY_IN = { curl = "net", lua = "lua", lauxlib = "lua", lualib = "lua", luajit = "lua" }

-- Each layer is a list of modules; "x" also stands for "x.…", where "x.…" is not
-- listed itself.
local LUA_LAYERS = {
  { "cce.core" },
  { "cce.error", "cce.base" },
  { "cce.host" },
  { "cce.text", "cce.progress", "cce.metrics", "cce.certificate", "cce.log" },
  { "cce.api", "cce.region" },
  { "cce.credentials" },
  { "cce.kubeconfig" },
  { "cce.client", "cce.map", "cce.signer", "cce.ensure", "cce.expiry" },
  { "cce.workflow.issue", "cce.workflow.naming", "cce.workflow.outcome", "cce.workflow.pace",
    "cce.workflow.run", "cce.workflow.runs", "cce.workflow.targets",
    "cce.workflow.rotate", "cce.workflow.revoke", "cce.workflow.restore", "cce.workflow.rights",
    "cce.workflow.holders" },
  { "cce.schedule" },
  { "cce", "cce.workflow", "cce.openresty" },
  { "cce.exec" },
  { "cce.repl", "cce.sim" },
  { "cce.cli" },
}

-- "file -> target" with the reason. There is none.
local EXCEPTIONS = {}

local function each_file(directory, pattern, visit)
  local pipe = assert(io.popen(("cd '%s' && find %s -type f -name '%s' | LC_ALL=C sort"):format(
    ROOT, directory, pattern)))
  for path in pipe:lines() do
    local file = assert(io.open(ROOT .. path, "rb"))
    visit(path, file:read "*a")
    file:close()
  end
  pipe:close()
end

local failures = 0

local function check(path, target, from, to)
  if to <= from or EXCEPTIONS[path .. " -> " .. target] then return end
  failures = failures + 1
  io.stderr:write(path, " uses ", target, ", which is of a higher layer\n")
end

-- ---- C -------------------------------------------------------------------------

local rank_of_folder = {}
for rank, folder in ipairs(C_LAYERS) do rank_of_folder[folder] = rank end

each_file("src", "*.[ch]", function(path, text)
  local folder = path:match "^src/(%w+)/"
  local from = rank_of_folder[folder]
  if not from then error(path .. " is in no layer: name its folder in C_LAYERS") end
  for name in text:gmatch '#%s*include%s*"([^"]+)"' do
    for part in name:gmatch "(%w+)/" do
      if rank_of_folder[part] then check(path, name, from, rank_of_folder[part]) end
    end
  end
  for name in text:gmatch "#%s*include%s*[<\"]([^>\"]+)[>\"]" do
    local owner = ONLY_IN[name:match "^(%w+)/" or name:match "^(%w+)%.h$"]
    if owner and owner ~= folder and not rank_of_folder[name:match "^(%w+)/"] then
      failures = failures + 1
      io.stderr:write(path, " includes ", name, ", which only src/", owner, " may\n")
    end
  end
end)

-- ---- Lua -----------------------------------------------------------------------

local rank_of_module = {}
for rank, names in ipairs(LUA_LAYERS) do
  for _, name in ipairs(names) do rank_of_module[name] = rank end
end

local function rank_of(name)
  while name and not rank_of_module[name] do name = name:match "^(.+)%.[^.]+$" end
  -- "cce" is init.lua, not all that lies beside it.
  return name ~= "cce" and rank_of_module[name]
end

local modules = { ["cce.core"] = rank_of_module["cce.core"] }
each_file("lua", "*.lua", function(path)
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  modules[name] = name == "cce" and rank_of_module.cce or rank_of(name)
  if not modules[name] then error(path .. " is in no layer: name it in LUA_LAYERS") end
end)

each_file("lua", "*.lua", function(path, text)
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  -- Comments go; strings stay, for a name may stand in any. What `__name` says is a name
  -- of a class, and no module.
  local code = text:gsub("%-%-%[(=*)%[.-%]%1%]", ""):gsub("%-%-[^\n]*", "")
    :gsub("__name%s*=%s*\"[^\"]*\"", "")
  for _, target in code:gmatch "([\"'])(cce[%w_.]*)%1" do
    -- "cce.cli.command." is the beginning of a name.
    local rank = modules[target] or target:find "%.$" and rank_of(target:sub(1, -2))
    -- "cce" is also the name of a service.
    local is_service = target == "cce" and not code:find "require[ (]*[\"']cce[\"']"
    if rank and not is_service then check(path, target, modules[name], rank) end
    -- The simulator judges the library, by code of its own.
    if rank and not is_service and name:find "^cce%.sim" and target ~= "cce.core"
      and not target:find "^cce%.sim" then
      failures = failures + 1
      io.stderr:write(path, " uses ", target, ", but the simulator may use none of the library\n")
    end
  end
end)

os.exit(failures == 0 and 0 or 1)
