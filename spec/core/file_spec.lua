local child = require "spec.support.child"
local core = require "cce.core"
local tempdir = dofile "spec/support/tempdir.lua"

local file = core.file

describe("core.file", function()
  local dir, path

  before_each(function()
    dir = tempdir.new()
    path = dir .. "/config"
  end)

  after_each(function()
    tempdir.remove(dir)
  end)

  local function mode_of(name)
    return file.stat(name).mode
  end

  describe("glob", function()
    local function found(pattern)
      local paths = assert(file.glob(pattern))
      for i, each in ipairs(paths) do paths[i] = each:sub(#dir + 2) end
      table.sort(paths)
      return paths
    end

    it("lists what a pattern stands for, hidden names only by their dot", function()
      for _, name in ipairs { "a.json", "b.json", "c.txt", ".d.json", "[e].json", "ä.json" } do
        tempdir.write(dir .. "/" .. name, "")
      end
      assert.same({ "[e].json", "a.json", "b.json", "ä.json" }, found(dir .. "/*.json"))
      assert.same({ "a.json", "b.json" }, found(dir .. "/[ab].*"))
      assert.same({ "[e].json" }, found(dir .. "/\\[e\\].json"))
      assert.same({ ".d.json" }, found(dir .. "/.d*"))
      assert.same({}, found(dir .. "/nothing*"))
    end)

    it("says when it cannot read a directory", function()
      local paths, message, code = file.glob(dir .. "/none/*")
      assert.is_nil(paths)
      assert.equal("FILE_ERROR", code)
      assert.matches("cannot list '" .. dir .. "/none/*'", message, 1, true)
      tempdir.shell("ln -s loop " .. dir .. "/loop")
      message = select(2, file.glob(dir .. "/loop/*"))
      assert.matches("loop/*': Too many levels of symbolic links", message, 1, true)
    end)

    it("raises on wrong use", function()
      assert.has_error(function() file.glob() end)
      assert.has_error(function() file.glob "a\0b" end)
    end)
  end)

  describe("write", function()
    it("makes a file that only its owner may read, whatever the umask", function()
      local code = ('require "cce.core".file.write(%q, "new")'):format(path)
      tempdir.shell("umask 000; " .. tempdir.lua(code))
      assert.equal("new", tempdir.read(path))
      assert.equal("0600", mode_of(path))
    end)

    it("replaces a file, tightens its mode and leaves nothing beside it", function()
      tempdir.write(path, "old and longer")
      tempdir.shell("chmod 644 " .. path)
      assert.is_true(file.write(path, "new"))
      assert.equal("new", tempdir.read(path))
      assert.equal("0600", mode_of(path))
      assert.same({ "config" }, tempdir.list(dir))
    end)

    it("takes another mode, as octal digits", function()
      assert(file.write(path, "x", { mode = "0640" }))
      assert.equal("0640", mode_of(path))
    end)

    it("writes every byte, also none", function()
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
      local text = table.concat(bytes):rep(1000)
      assert(file.write(path, text))
      assert.is_true(text == file.read(path))
      assert(file.write(path, ""))
      assert.equal("", file.read(path))
    end)

    it("does not write into an old file: one who has it open keeps the old bytes", function()
      tempdir.write(path, "old")
      local open = io.open(path, "rb")
      file.write(path, "new")
      assert.equal("old", open:read "*a")
      open:close()
    end)

    it("follows symlinks, so that the link stays one", function()
      os.execute("mkdir " .. dir .. "/real")
      tempdir.write(dir .. "/real/target", "old")
      tempdir.shell(("cd %s && ln -s real/target middle && ln -s $PWD/middle config"):format(dir))
      assert(file.write(path, "new"))
      assert.is_true(file.stat(path).is_symlink)
      assert.equal("new", tempdir.read(dir .. "/real/target"))
      assert.same({ "target" }, tempdir.list(dir .. "/real"))
    end)

    it("makes what a symlink to nothing points to", function()
      tempdir.shell(("cd %s && ln -s later config"):format(dir))
      assert(file.write(path, "new"))
      assert.equal("new", tempdir.read(dir .. "/later"))
    end)

    it("does not follow a stranger's link where everybody may put one", function()
      if not tempdir.is_root() then return pending "needs root to give a link away" end
      tempdir.shell(("cd %s && echo old > target && ln -s target config && chown -h 65534 config")
        :format(dir))
      assert.is_true(file.write(path, "fine"))
      for _, mode in ipairs { "1777", "0777", "1755" } do
        tempdir.shell(("chmod %s %s"):format(mode, dir))
        local ok, message = file.write(path, "new")
        assert.is_nil(ok)
        assert.truthy(message:find("following its links: Permission denied", 1, true))
        assert.equal("fine", tempdir.read(dir .. "/target"))
      end
      tempdir.shell("chown -h 0 " .. path)
      assert.is_true(file.write(path, "new"))
    end)

    it("does not go through a stranger's link on its way, either", function()
      if not tempdir.is_root() then return pending "needs root to give a link away" end
      tempdir.shell(("cd %s && mkdir real && ln -s real way && chown -h 65534 way"):format(dir))
      assert.is_true(file.write(dir .. "/way/config", "fine"))
      tempdir.shell("chmod 1777 " .. dir)
      assert.is_nil((file.write(dir .. "/way/config", "new")))
      assert.is_nil((file.read(dir .. "/way/config")))
      assert.is_nil((file.lock(dir .. "/way/config")))
      assert.equal("fine", file.read(dir .. "/real/config"))
    end)

    it("does not use a file that another user prepared where everybody may put one", function()
      if not tempdir.is_root() then return pending "needs root to give a file away" end
      for _, mode in ipairs { "1777", "0777", "1755" } do
        tempdir.shell(("cd %s; rm -f config; touch config; chown 65534 config; chmod %s ."):format(
          dir, mode))
        for _, use in ipairs { "write", "read", ".config.lock", "config.lock" } do
          local ok, message, code
          if use:find "lock" then
            tempdir.shell(("cd %s; rm -f config .config.lock; touch %s; chown 65534 %s"):format(dir,
              use, use))
            ok, message, code = file.lock(path, { kubectl = true, timeout = 0 })
          else
            ok, message, code = file[use](path, use == "write" and "key" or nil)
          end
          assert.is_nil(ok, use)
          assert.equal("FILE_ERROR", code)
          assert.matches("it belongs to user 65534, in a directory where others may put files",
            message, 1, true)
        end
        tempdir.shell(("rm -f %s/config.lock"):format(dir))
      end
      assert.same({}, tempdir.list(dir))
    end)

    it("does not use what is in another user's directory where everybody may make one", function()
      if not tempdir.is_root() then return pending "needs root to give a directory away" end
      tempdir.shell(("cd %s; mkdir -p theirs/deep; touch theirs/deep/config; chown -R 65534 theirs")
        :format(dir))
      local theirs = dir .. "/theirs/deep/config"
      assert(file.read(theirs))
      tempdir.shell("chmod 1777 " .. dir)
      for _, use in ipairs { "read", "write", "check" } do
        local ok, message = file[use](theirs, use == "write" and "key" or nil)
        assert.is_nil(ok)
        assert.matches("it belongs to user 65534", message, 1, true)
      end
      assert(file.write(dir .. "/theirs/deep/ours", "new"))
      assert.equal(0, file.stat(dir .. "/theirs/deep/ours").owner)
      tempdir.shell(("chown 0 %s/theirs/deep"):format(dir))
      assert(file.read(theirs))
    end)

    -- To root, its own files and those of root are the same.
    it("trusts, as an ordinary user, its own files and root's, and no other's", function()
      -- Whoever it is may read this source tree.
      local become = "setpriv --reuid=65534 --clear-groups --inh-caps=+dac_read_search"
        .. " --ambient-caps=+dac_read_search env "
      if select(2, tempdir.run(become .. "true")) ~= 0 then
        return pending "needs the right to become somebody else"
      end
      tempdir.check(("cd %s; for f in own roots others; do echo $f > $f; chmod 600 $f; done;"
        .. " chown 65534 own; chown 65533 others"):format(dir))
      local code = ([[
        local core = require "cce.core"
        for _, name in ipairs { "own", "roots", "others" } do
          local text, reason = core.file.read("%s/" .. name)
          local secret, why = core.secret_from_private_file("%s/" .. name)
          print(text or reason:match "belongs to user %%d+", secret and "secret" or why:match
            "belongs to %%l+ user")
        end]]):format(dir, dir)
      for mode, others in pairs { ["1777"] = "belongs to user 65533\tnil\n",
        ["755"] = "others\n\tbelongs to another user\n" } do
        tempdir.check(("chmod %s %s"):format(mode, dir))
        assert.equal("own\n\tsecret\nroots\n\tsecret\n" .. others,
          tempdir.shell(become .. tempdir.lua(code)))
      end
    end)

    it("does not use a second name of a file where everybody may give one", function()
      tempdir.shell(("cd %s && mkdir real && echo old > real/file && ln real/file config")
        :format(dir))
      assert.is_true(file.read(path) == "old\n")
      tempdir.shell("chmod 1777 " .. dir)
      local text, message = file.read(path)
      assert.is_nil(text)
      assert.matches("it has a second name", message, 1, true)
    end)

    it("removes what a killed process left of a write, but nothing else", function()
      local left = dir .. "/.cce-0123456789abcdef.tmp"
      for _, name in ipairs { left, dir .. "/.cce-0123456789abcdef.tmp2", dir .. "/.cce-012345.tmp",
        dir .. "/.cce-0123456789ABCDEF.tmp" } do
        tempdir.write(name, "a key")
      end
      tempdir.check("mkfifo " .. dir .. "/.cce-0000000000000000.tmp")
      assert(file.write(path, "new"))
      assert.same({ ".cce-0000000000000000.tmp", ".cce-012345.tmp", ".cce-0123456789ABCDEF.tmp",
        ".cce-0123456789abcdef.tmp2", "config" }, tempdir.list(dir))
    end)

    it("leaves alone what a living process, or another user, writes", function()
      local left = dir .. "/.cce-0123456789abcdef.tmp"
      tempdir.write(left, "a key")
      local code = ('assert(require "cce.core".file.write(%q, "new"))'):format(path)
      tempdir.check(("flock %s env %s"):format(left, tempdir.lua(code)))
      assert.same({ ".cce-0123456789abcdef.tmp", "config" }, tempdir.list(dir))
      if not tempdir.is_root() then return end
      tempdir.shell("chown 65534 " .. left)
      assert(file.write(path, "new"))
      assert.same({ ".cce-0123456789abcdef.tmp", "config" }, tempdir.list(dir))
    end)

    it("leaves nothing for ever when it is killed", function()
      -- Stops before the rename; fsync takes long enough to be met.
      local code = ('require "cce.core".file.write(%q, ("k"):rep(2^24))'):format(path)
      for _ = 1, 20 do
        tempdir.shell(("%s & sleep 0.02; kill -9 $!; wait"):format("env " .. tempdir.lua(code)))
      end
      assert(file.write(path, "new"))
      assert.same({ "config" }, tempdir.list(dir))
    end)

    it("does not remove a file that has the name of its lock", function()
      tempdir.write(dir .. "/.config.lock", "mine")
      assert(file.lock(path)):close()
      assert.equal("mine", tempdir.read(dir .. "/.config.lock"))
    end)

    it("follows links of /proc as the kernel does", function()
      tempdir.shell(("mkdir %s/gone"):format(dir))
      local code = [[
        local f = require "cce.core".file
        os.execute "rm -rf '%s/gone'; mkdir '%s/gone'; echo another > '%s/gone/config'"
        print(f.read "/proc/self/cwd/config", (f.read "/proc/self/root/etc/passwd"))]]
      local output = tempdir.shell(("cd %s/gone; exec env %s"):format(dir, tempdir.lua(
        code:gsub("%%s", dir))))
      assert.matches("^nil\t", output)
      assert.matches("root:", output, 1, true)
    end)

    it("ends in a circle of links with an error", function()
      tempdir.shell(("cd %s && ln -s b a && ln -s a b"):format(dir))
      local ok, message, code = file.write(dir .. "/a", "x")
      assert.is_nil(ok)
      assert.equal("FILE_ERROR", code)
      assert.truthy(message:find("following its links: Too many levels of symbolic links", 1, true))
    end)

    it("follows links no further than a path may be long", function()
      local deep, deeper = ("/" .. ("d"):rep(250)):rep(14), (("e"):rep(250) .. "/"):rep(4)
      local half = deeper:sub(1, 501)
      tempdir.shell(("cd %s && mkdir -p .%s && ln -s .%s a && cd .%s && mkdir -p %s && ln -s %s b"
        .. " && ln -s %s c"):format(dir, deep, deep, deep, deeper, deeper, half))
      assert(file.write(dir .. "/a/config", "x"))
      local _, message = file.write(dir .. "/a/b/config", "x")
      assert.matches("opening its directory: File name too long", message, 1, true)
      -- Nor where a link and what is still to come are, together.
      tempdir.shell(("cd %s && ln -s %s long"):format(dir, ("x/"):rep(2000)))
      _, message = file.write(dir .. "/long/" .. ("y/"):rep(100) .. "config", "x")
      assert.matches("following its links: File name too long", message, 1, true)
      -- 4095 bytes, without links, and one more.
      local longest = ("f"):rep(4095 - #(dir .. deep .. "/" .. half .. "/"))
      assert(file.write(dir .. "/a/c/" .. longest, "x"))
      _, message = file.write(dir .. "/a/c/" .. longest .. "f", "x")
      assert.matches("opening its directory: File name too long", message, 1, true)
    end)

    it("takes names of 255 bytes and paths of 4095, and none that are longer", function()
      assert(file.write(dir .. "/" .. ("n"):rep(255), "x"))
      for _, length in ipairs { 256, 4000 } do
        local _, message = file.write(dir .. "/" .. ("n"):rep(length), "x")
        assert.matches("File name too long", message, 1, true)
      end
      assert.matches("No such file", select(2, file.read(("/x"):rep(2047) .. "y")), 1, true)
      assert.matches("File name too long", select(2, file.read(("/x"):rep(2048))), 1, true)
    end)

    it("loses no file to the sweep of others that write beside it", function()
      local code = [[
        local f, lost = require "cce.core".file, 0
        for _ = 1, 400 do
          lost = lost + (f.write("%s/" .. arg[1], "x") and 0 or 1)
        end
        io.write(lost, " ")]]
      tempdir.write(dir .. "/write.lua", (code:gsub("%%s", dir)))
      local output = tempdir.shell(("for i in 1 2 3 4 5 6; do %s & done; wait"):format(
        tempdir.lua(('arg = { "$i" } dofile "%s/write.lua"'):format(dir)):gsub("%$i", "'$i'")))
      assert.equal("0 0 0 0 0 0 ", output)
    end)

    it("keeps owner and group of what it replaces", function()
      if not tempdir.is_root() then return pending "only root may give a file away" end
      tempdir.write(path, "old")
      tempdir.shell("chown 65534:65533 " .. path)
      assert(file.write(path, "new"))
      local info = file.stat(path)
      assert.equal(65534, info.owner)
      assert.equal(65533, info.group)
      assert.equal("0600", info.mode)
    end)

    it("names the path, the step and the reason when it fails", function()
      local ok, message, code = file.write(dir .. "/none/config", "x")
      assert.is_nil(ok)
      assert.equal("FILE_ERROR", code)
      assert.equal(("cannot write '%s/none/config': opening its directory: "
        .. "No such file or directory"):format(dir), message)
    end)

    it("refuses what is no regular file, and leaves it alone", function()
      tempdir.shell("mkfifo " .. path)
      assert.truthy(select(2, file.write(path, "x")):find("it is not a regular file", 1, true))
      assert.equal("other", file.stat(path).type)
      assert.truthy(select(2, file.write("/dev/full", "x")):find("not a regular file", 1, true))
      assert.truthy(select(2, file.write(dir, "x")):find("not a regular file", 1, true))
      for _, name in ipairs { dir .. "/", ".", "..", "" } do
        local _, message = file.write(name, "x")
        assert.truthy(message:find("it is a directory, not a file", 1, true))
      end
    end)

    it("keeps the reason when the path is too long to show", function()
      local _, message = file.write(dir .. ("/x"):rep(1000) .. "/config", "x")
      assert.truthy(message:find("No such file or directory", 1, true))
      _, message = file.write(("/x"):rep(3000), "x")
      assert.truthy(message:find("File name too long", 1, true))
    end)

    it("leaves the old file, and no other, when the disk has no room", function()
      tempdir.write(path, "old")
      -- A limit on the size of files stands for the full disk.
      local code = ('print(require "cce.core".file.write(%q, ("x"):rep(100000)))'):format(path)
      local output = tempdir.shell(("trap '' XFSZ; ulimit -f 8; %s"):format(tempdir.lua(code)))
      assert.truthy(output:find("': writing: File too large\tFILE_ERROR", 1, true), output)
      assert.equal("old", tempdir.read(path))
      assert.same({ "config" }, tempdir.list(dir))
    end)

    it("says that a directory may not be written to", function()
      if not tempdir.is_root() then return pending "needs root to become somebody else" end
      local code = ('print(require "cce.core".file.write(%q, "x"))'):format(path)
      tempdir.shell("chmod 755 " .. dir)
      local output = tempdir.shell("setpriv --reuid=65534 --clear-groups " .. "env "
        .. tempdir.lua(code))
      if output:find("module 'cce.core' not found", 1, true) then
        return pending "nobody else may read this source tree"
      end
      assert.truthy(output:find("creating a temporary file beside it: Permission denied", 1, true),
        output)
    end)

    it("is never seen half-written", function()
      local a, b = ("a"):rep(200000), ("b"):rep(200000)
      file.write(path, a)
      local code = ([[local f = require "cce.core".file
        for i = 1, 60 do f.write(%q, (i %% 2 == 0 and "a" or "b"):rep(200000)) end]]):format(path)
      local writer = io.popen(tempdir.lua(code) .. " && echo done")
      for _ = 1, 100 do
        local text = assert(file.read(path))
        assert.is_true(text == a or text == b)
      end
      assert.equal("done\n", writer:read "*a")
      writer:close()
    end)

    it("raises on wrong use, before anything happens", function()
      assert.has_error(function() file.write(path, 3) end)
      assert.has_error(function() file.write(path .. "\0x", "x") end)
      assert.has_error(function() file.write(path, "x", { mood = "0600" }) end)
      for _, mode in ipairs { "", "600x", "06/0", "0888", "1777", "01777", "00600", 384 } do
        assert.has_error(function() file.write(path, "x", { mode = mode }) end)
      end
      assert.same({}, tempdir.list(dir))
    end)
  end)

  describe("read", function()
    it("has a limit", function()
      tempdir.write(path, "12345")
      assert.equal("12345", file.read(path, { max = 5 }))
      assert.equal("12345", file.read(path, { max = 6 }))
      local text, message, code = file.read(path, { max = 4 })
      assert.is_nil(text)
      assert.equal("FILE_ERROR", code)
      assert.truthy(message:find("it is larger than 4 bytes", 1, true))
      tempdir.write(path, "")
      assert.equal("", file.read(path, { max = 0 }))
    end)

    it("reads files whose size is not known before", function()
      assert.truthy(file.read "/proc/self/status":find("Name:", 1, true))
    end)

    it("does not wait for a FIFO, and reads no device or directory", function()
      tempdir.shell("mkfifo " .. path)
      for _, name in ipairs { path, "/dev/zero", dir } do
        local text, message = file.read(name)
        assert.is_nil(text)
        assert.truthy(message:find("it is not a regular file", 1, true))
      end
    end)

    it("proves before that a file can be replaced at all", function()
      tempdir.write(path, "old")
      local immutable = select(2, tempdir.run("chattr +i " .. path)) == 0
      if immutable then
        for _, opts in ipairs { { trial = true }, {} } do
          local ok, message = file.write(path, "new", opts)
          tempdir.run(opts.trial and "true" or "chattr -i " .. path)
          assert.is_nil(ok)
          assert.matches("it must not be replaced (lsattr shows why)", message, 1, true)
        end
      end
      local script = "print(require('cce.core').file.write('" .. path
        .. "', 'x', { trial = true }))"
      local output, status = tempdir.run(("unshare -m sh -c %s"):format(tempdir.quote(
        ("mount --bind %s %s && %s"):format(path, path, tempdir.lua(script)))))
      if status == 0 then assert.matches("it is mounted by itself", output, 1, true) end
      assert.equal("old", tempdir.read(path))
      assert(file.write(path, "new", { trial = true }))
      assert(file.write(path, "new"))
      assert.equal("new", tempdir.read(path))
    end)

    -- As `cce who <(command)`. Whoever writes to it may come late.
    it("reads a pipe that this process was given to its end", function()
      local run = tempdir.lua
        "io.write(assert(require('cce.core').file.read('/dev/stdin', { max = 5 })))"
      assert.equal("a b", tempdir.check("(printf a; sleep 0.1; printf ' b') | " .. run))
      local output, status = tempdir.run("printf 123456 | " .. run)
      assert.is_true(status ~= 0)
      assert.matches("it is larger than 5 bytes", output, 1, true)
      output, status = tempdir.run(run .. " </dev/zero")
      assert.is_true(status ~= 0)
      assert.matches("it is not a regular file", output, 1, true)
    end)

    it("says what is not there", function()
      local text, message, code = file.read(path)
      assert.is_nil(text)
      assert.equal("FILE_ERROR", code)
      assert.equal(("cannot read '%s': No such file or directory"):format(path), message)
    end)

    it("raises on a wrong limit", function()
      for _, max in ipairs { -1, 1.5, 0 / 0, 2 ^ 31, "5" } do
        assert.has_error(function() file.read(path, { max = max }) end)
      end
    end)
  end)

  describe("stat", function()
    it("tells what is there", function()
      tempdir.write(path, "12345")
      tempdir.shell("chmod 640 " .. path)
      local info = file.stat(path)
      assert.equal("0640", info.mode)
      assert.equal(5, info.size)
      assert.equal("file", info.type)
      assert.is_false(info.is_symlink)
      assert.is_true(math.abs(info.mtime - os.time()) < 60)
      assert.equal("directory", file.stat(dir).type)
    end)

    it("is false for nothing, and an error for what cannot be seen", function()
      assert.is_false(file.stat(path))
      tempdir.write(path, "")
      local info, _, code = file.stat(path .. "/below")
      assert.is_nil(info)
      assert.equal("FILE_ERROR", code)
    end)
  end)

  describe("lock", function()
    local function try(code)
      return tempdir.shell(tempdir.lua('local f = require "cce.core".file ' .. code))
    end

    it("keeps other processes out until it is closed", function()
      local lock = assert(file.lock(path))
      local code = ("print(f.lock(%q, { timeout = 0 }))"):format(path)
      local refused = try(code)
      assert.truthy(refused:find("another process held '" .. dir .. "/.config.lock'", 1, true),
        refused)
      assert.truthy(refused:find("TIMEOUT", 1, true))
      lock:close()
      lock:close()
      assert.truthy(try(code):find("cce.file.lock", 1, true))
      assert.same({}, tempdir.list(dir))
    end)

    it("is the same lock by whatever link", function()
      tempdir.shell(("cd %s && ln -s config link"):format(dir))
      local lock = assert(file.lock(dir .. "/link"))
      assert.equal("TIMEOUT", select(3, file.lock(path, { timeout = 0 })))
      lock:close()
    end)

    it("ends with the process that held it", function()
      try(("assert(f.lock(%q)) os.exit(0, false)"):format(path))
      assert.truthy(file.lock(path, { timeout = 0 }))
    end)

    it("waits as long as it is told", function()
      local lock = assert(file.lock(path))
      local code = ("local l, m = f.lock(%q, { timeout = 0.2 }) print(m)"):format(path)
      assert.truthy(try(code):find("for 200 ms", 1, true))
      local waiting = io.popen(tempdir.lua(
        ('print(require "cce.core".file.lock(%q, { timeout = 20 }) ~= nil)'):format(path)))
      lock:close()
      assert.equal("true\n", waiting:read "*a")
      waiting:close()
    end)

    it("loses no update of many processes at once", function()
      tempdir.write(path, "0")
      local code = ([[local f = require "cce.core".file
        for _ = 1, 25 do
          local lock = assert(f.lock(%q, { timeout = 60 }))
          assert(f.write(%q, tostring(math.floor(f.read(%q) + 1))))
          lock:close()
        end]]):format(path, path, path)
      local command = tempdir.lua(code)
      assert.equal("", tempdir.shell(("%s & %s & %s & wait"):format(command, command, command)))
      assert.equal("75", tempdir.read(path))
      assert.same({ "config" }, tempdir.list(dir))
    end)

    it("respects kubectl's lock, and takes it", function()
      for _, text in ipairs { "", "kubectl\n" } do
        tempdir.write(path .. ".lock", text)
        local lock, message, code = file.lock(path, { timeout = 0.05, kubectl = true })
        assert.is_nil(lock)
        assert.equal("TIMEOUT", code)
        assert.truthy(message:find("/config.lock' for 50 ms; remove it if no kubectl", 1, true))
        assert.same({ "config.lock" }, tempdir.list(dir))
      end
      os.remove(path .. ".lock")
      local lock = assert(file.lock(path, { kubectl = true }))
      assert.same({ ".config.lock", "config.lock" }, tempdir.list(dir))
      lock:close()
      assert.same({}, tempdir.list(dir))
    end)

    it("takes over kubectl's lock from a dead process of ours", function()
      try(("L = f.lock(%q, { kubectl = true }) os.execute 'kill -9 $PPID'"):format(path))
      assert.same({ ".config.lock", "config.lock" }, tempdir.list(dir))
      local lock = assert(file.lock(path, { timeout = 0, kubectl = true }))
      lock:close()
      assert.same({}, tempdir.list(dir))
    end)

    it("does not follow a link that stands for the lock file", function()
      tempdir.write(dir .. "/victim", "")
      tempdir.shell(("cd %s && ln -s victim .config.lock"):format(dir))
      local lock, message = file.lock(path, { timeout = 0 })
      assert.is_nil(lock)
      assert.truthy(message:find("creating a lock file beside it", 1, true))
    end)

    it("is let go by the collector, and prints what it is", function()
      local lock = assert(file.lock(path))
      assert.equal(("cce.file.lock: %s/.config.lock"):format(dir), tostring(lock))
      lock = nil -- luacheck: ignore
      collectgarbage() collectgarbage()
      lock = assert(file.lock(path, { timeout = 0 }))
      lock:close()
      assert.equal("cce.file.lock: closed", tostring(lock))
    end)

    it("raises on wrong use", function()
      for _, timeout in ipairs { -1, "1", 0 / 0, 1e9 } do
        assert.has_error(function() file.lock(path, { timeout = timeout }) end)
      end
      local lock = file.lock(path)
      assert.has_error(function() lock.close() end)
      assert.has_error(function() lock.close(io.stdout) end)
      lock:close()
    end)
  end)

  it("leaves no descriptor open, whatever comes of it", function()
    local function use_all()
      tempdir.write(dir .. "/.cce-0123456789abcdef.tmp", "left by a process that was killed")
      for _, name in ipairs { path, dir .. "/way/config", dir .. "/fifo", dir, dir .. "/no/x" } do
        file.write(name, "x")
        file.write(name, "x", { trial = true })
        file.read(name)
        file.read(name, { max = 0 })
        file.check(name)
        core.secret_from_private_file(name)
        local lock = file.lock(name, { kubectl = true, timeout = 0 })
        if lock then lock:close() end
      end
      assert(core.secret_from_file(path)):close()
      assert(file.lock(dir .. "/kept")):close()
    end

    tempdir.check(("cd %s; mkfifo fifo; mkdir real; ln -s real way; echo mine > .kept.lock; "
      .. "touch fifo.lock"):format(dir))
    use_all()
    collectgarbage()
    collectgarbage()
    local before = tempdir.descriptors()
    for _ = 1, 10 do use_all() end
    local now = tempdir.descriptors()
    assert.is_true(now <= before, ("%d, then %d"):format(before, now))
  end)
end)

-- A daemon may have closed it: then the next descriptor has its number.
describe("a process without a standard input", function()
  it("can do all that others can", function()
    local dir = tempdir.new()
    finally(function() tempdir.remove(dir) end)
    assert.equal("done\n", child.run({}, ([[
      local core, dir = require "cce.core", %q
      io.stdin:close()
      assert(core.file.write(dir .. "/file", "text"))
      assert(core.file.check(dir .. "/file"))
      assert(core.file.read(dir .. "/file") == "text")
      assert(core.file.lock(dir .. "/file")):close()
      -- One that is made, and one that is there.
      for _ = 1, 2 do
        local journal = assert(core.journal(dir .. "/log", "schedule export"))
        assert(journal:append '{"schedule":1}')
        journal:close()
      end
      for _, is_threaded in ipairs { false, true } do
        assert(core.engine { threaded = is_threaded }):close()
      end
      print "done"
    ]]):format(dir)))
  end)
end)
