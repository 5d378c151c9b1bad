# lua-cce: build, test and install. `make help` lists the targets. Every
# variable with ?= may be set on the command line or in the environment.

LUA_VERSION  ?= 5.4
LUA_VERSIONS ?= $(KNOWN_LUAS)
KNOWN_LUAS   := 5.1 5.2 5.3 5.4 jit
# What the specs run on. For 5.5 Debian has not all of what they need.
ifeq ($(filter $(LUA_VERSION),$(KNOWN_LUAS) 5.5),)
  $(error LUA_VERSION=$(LUA_VERSION): it must be one of $(KNOWN_LUAS) 5.5)
endif

CC         ?= cc
CFLAGS     ?= -O2 -g
LDFLAGS    ?=
PKG_CONFIG ?= pkg-config
INSTALL    ?= install
PREFIX     ?= /usr/local
DESTDIR    ?=
LUA        ?= $(if $(filter jit,$(LUA_VERSION)),luajit,lua$(LUA_VERSION))

# LuaJIT takes the modules of Lua 5.1, and one core.so serves both.
LUA_ABI := $(if $(filter jit,$(LUA_VERSION)),5.1,$(LUA_VERSION))

# The names on the right are those that OpenResty's own modules use.
LUA_INCLUDE_DIR ?=
LUA_MODULE_DIR  ?= $(PREFIX)/share/lua/$(LUA_ABI)
LUA_CMODULE_DIR ?= $(PREFIX)/lib/lua/$(LUA_ABI)
LUA_INCDIR      ?= $(LUA_INCLUDE_DIR)
INST_LUADIR     ?= $(LUA_MODULE_DIR)
INST_LIBDIR     ?= $(LUA_CMODULE_DIR)
INST_BINDIR     ?= $(PREFIX)/bin
INST_SHAREDIR   ?= $(PREFIX)/share

# What lint and the long tests use.
SANITIZER_CC ?= gcc
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 20
SPECS        ?= spec

# FLAVOUR=asan|tsan|coverage|valgrind builds into its own directory.
FLAVOUR ?=
BUILD   := build/$(if $(FLAVOUR),$(FLAVOUR)-)$(LUA_VERSION)
# What knows no Lua is compiled once for all of them.
PLAIN   := build/$(if $(FLAVOUR),$(FLAVOUR)-)plain

FLAVOUR_FLAGS_asan     := -O1 -fno-omit-frame-pointer \
                          -fsanitize=address,undefined \
                          -fno-sanitize-recover=undefined
FLAVOUR_FLAGS_tsan     := -O1 -fno-omit-frame-pointer -fsanitize=thread
FLAVOUR_FLAGS_coverage := -O0 --coverage
FLAVOUR_FLAGS_valgrind := -O1 -fno-omit-frame-pointer
# What hands an allocation on for libcurl is no caller of malloc.
FLAVOUR_FLAGS_alloc    := -O1 -fno-omit-frame-pointer -foptimize-sibling-calls
FLAVOUR_FLAGS          := $(FLAVOUR_FLAGS_$(FLAVOUR))

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wwrite-strings -Wundef -Wvla
STANDARD := -std=gnu99 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
            -D_TIME_BITS=64 -fPIC -fvisibility=hidden

# Distributions do not agree on how lua5.4.pc is called.
LUA_PC_NAMES = $(if $(filter jit,$(LUA_VERSION)),luajit,\
               lua$(LUA_VERSION) lua-$(LUA_VERSION) lua$(subst .,,$(LUA_VERSION)) lua)
LUA_PC       = $(firstword $(foreach n,$(LUA_PC_NAMES),\
               $(shell $(PKG_CONFIG) --exists $(n) 2>/dev/null && echo $(n))) $(firstword $(LUA_PC_NAMES)))
LUA_CFLAGS  := $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell $(PKG_CONFIG) --cflags $(LUA_PC) 2>/dev/null))
DEPS_CFLAGS := $(shell $(PKG_CONFIG) --cflags libcurl libssl libcrypto 2>/dev/null)
DEPS_LIBS   := $(shell $(PKG_CONFIG) --libs libcurl libssl libcrypto 2>/dev/null || echo -lcurl -lssl -lcrypto)

COMPILE_PLAIN = $(CC) $(STANDARD) $(WARNINGS) -Isrc $(DEPS_CFLAGS) \
                $(CPPFLAGS) $(CFLAGS) $(FLAVOUR_FLAGS)
COMPILE       = $(COMPILE_PLAIN) $(LUA_CFLAGS)
# A thread of ours may still run when Lua closes its libraries: the code must
# stay mapped, hence nodelete.
LINK    = $(CC) -shared -Wl,-z,nodelete $(CFLAGS) $(FLAVOUR_FLAGS) $(LDFLAGS)

SOURCES     := $(shell find src -name '*.c' | LC_ALL=C sort)
C_SOURCES   := $(filter-out src/lua/%,$(SOURCES))
OBJECTS     := $(patsubst src/%.c,$(BUILD)/%.o,$(filter src/lua/%,$(SOURCES))) \
               $(C_SOURCES:src/%.c=$(PLAIN)/%.o)
CORE        := $(BUILD)/cce/core.so
BENCHES     := $(patsubst bench/%.c,$(BUILD)/%.so,$(sort $(wildcard bench/*.c)))
C_TESTS     := $(patsubst spec/c/%.c,build/c/%,$(sort $(wildcard spec/c/*_test.c)))
FUZZERS     := $(patsubst spec/c/%.c,build/fuzz/%,$(sort $(wildcard spec/c/fuzz_*.c)))
MODULES     := $(shell find lua -name '*.lua' 2>/dev/null | sort)

.DELETE_ON_ERROR:
.SECONDARY:

all: $(CORE) ## build the C core for LUA_VERSION (default 5.4)

all-luas: ## build it for each of LUA_VERSIONS (default all five)
	@set -e; for v in $(LUA_VERSIONS); do \
	    $(MAKE) --no-print-directory LUA_VERSION=$$v all; done

$(CORE): $(OBJECTS)
	@mkdir -p $(@D)
	$(LINK) -o $@ $(OBJECTS) $(DEPS_LIBS) -lpthread -lm

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c -o $@ $<

# Two makes, for two Luas, may make the same one at once: each gets a whole one.
$(PLAIN)/%.o: src/%.c
	@mkdir -p $(@D)
	$(COMPILE_PLAIN) -MMD -MP -MT $@ -MF $(@:.o=.d) -c -o $@.$$$$ $< && mv $@.$$$$ $@

$(BUILD)/%.so: bench/%.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -shared $(LDFLAGS) -o $@ $< $(DEPS_LIBS)

# Programs without Lua: always with the sanitizers, every object of their own.
PLAIN_FLAGS = $(STANDARD) $(WARNINGS) -Isrc $(DEPS_CFLAGS) -O1 -g \
              -fno-omit-frame-pointer -fno-sanitize-recover=undefined

build/c/%.o: src/%.c
	@mkdir -p $(@D)
	$(SANITIZER_CC) $(PLAIN_FLAGS) -fsanitize=address,undefined -MMD -MP -c -o $@ $<

build/c/%: spec/c/%.c $(C_SOURCES:src/%.c=build/c/%.o)
	@mkdir -p $(@D)
	$(SANITIZER_CC) $(PLAIN_FLAGS) -fsanitize=address,undefined -MMD -MP \
	    -o $@ $(filter %.c %.o,$^) $(DEPS_LIBS) -lpthread -lm

build/fuzz/%.o: src/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(PLAIN_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

build/fuzz/%: spec/c/%.c $(C_SOURCES:src/%.c=build/fuzz/%.o)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(PLAIN_FLAGS) -fsanitize=fuzzer,address,undefined -MMD -MP \
	    -o $@ $(filter %.c %.o,$^) $(DEPS_LIBS) -lpthread -lm

# What the test harness itself needs.
build/tools/%.so: spec/support/native/%.c
	@mkdir -p $(@D)
	$(CC) $(STANDARD) $(WARNINGS) -O1 -g -shared -o $@ $<

build/tools/%: spec/support/native/%.c
	@mkdir -p $(@D)
	$(CC) $(STANDARD) $(WARNINGS) -O1 -g -o $@ $<

# A Lua module of the specs.
$(BUILD)/fork.so: spec/support/native/fork.c
	@mkdir -p $(@D)
	$(COMPILE) -shared -o $@ $<

$(BUILD)/failing_malloc.so: spec/support/alloc/failing_malloc.c
	@mkdir -p $(@D)
	$(COMPILE) -shared -o $@ $< -ldl -lpthread

-include $(OBJECTS:.o=.d) $(C_SOURCES:src/%.c=build/c/%.d) $(C_SOURCES:src/%.c=build/fuzz/%.d)
-include $(wildcard $(BUILD)/*.d build/c/*.d build/fuzz/*.d)

harness: build/tools/reap build/tools/unpreload.so build/tools/slow_sync.so \
         build/tools/unmap_spy.so
test-core: $(CORE) $(BUILD)/fork.so
c-tests: $(C_TESTS)
fuzzers: $(FUZZERS)
bench-modules: $(CORE) $(BENCHES)

deps: ## install what is missing for `make test` (Debian and Ubuntu)
	@tools/deps test

demo: ## install what is missing, build, and show the main job on a simulator
	@LUA_VERSION='$(LUA_VERSION)' tools/deps demo
	@$(MAKE) --no-print-directory -s all
	@tools/run-lua '$(LUA_VERSION)' examples/demo.lua $(ARGS)

check: ## the fast specs on one Lua (LUA_VERSION), for the inner loop
	@LUA_VERSIONS='$(LUA_VERSION)' tools/test --check $(SPECS)

test: deps ## install what is missing, build for every Lua, run the specs
	@tools/test $(SPECS)

test-long: deps ## sanitizers, valgrind, full allocation sweeps, fuzzing
	@tools/test --long $(SPECS)

asan: ## the specs under AddressSanitizer, UBSan and the leak check
	@tools/test --flavour asan $(SPECS)

tsan: ## the specs under ThreadSanitizer
	@tools/test --flavour tsan $(SPECS)

valgrind: ## the specs under valgrind
	@tools/test --flavour valgrind $(SPECS)

coverage: ## which lines of C the specs reach: build/coverage/index.html
	@tools/coverage

matrix: ## README's commands on bare Debian 12 and 13 (as root; needs debootstrap)
	@tools/matrix

mutate: ## change safety rules one at a time: the specs must notice (ARGS=PATTERN)
	@tools/run-lua 5.4 tools/mutate.lua $(ARGS)

fuzz: ## every fuzzer of spec/c for FUZZ_SECONDS each
	@tools/test --fuzz $(FUZZ_SECONDS)

lint: deps ## luacheck, formats, warnings as errors with two compilers, cppcheck
	@tools/lint

docs: ## the manual as pages to browse, into doc/
	@tools/docs doc

man: $(CORE) ## write man/cce.1 from the options of the command
	@tools/run-lua '$(LUA_VERSION)' tools/man.lua

bench: bench-modules ## measure; fails with ARGS=--check when a target is missed (also --json, ROW)
	@if command -v luajit >/dev/null; then \
	    $(MAKE) --no-print-directory -s LUA_VERSION=jit bench-modules; fi
	@tools/run-lua '$(LUA_VERSION)' bench/main.lua $(ARGS)

install: $(CORE) ## copy to PREFIX (/usr/local) for LUA_VERSION, under DESTDIR
	@DESTDIR='$(DESTDIR)' INSTALL='$(INSTALL)' LUA='$(LUA)' CORE='$(CORE)' \
	    INST_LUADIR='$(INST_LUADIR)' INST_LIBDIR='$(INST_LIBDIR)' \
	    INST_BINDIR='$(INST_BINDIR)' INST_SHAREDIR='$(INST_SHAREDIR)' \
	    tools/install $(MODULES)

uninstall: ## remove what install copied
	@DESTDIR='$(DESTDIR)' INST_LUADIR='$(INST_LUADIR)' INST_LIBDIR='$(INST_LIBDIR)' \
	    INST_BINDIR='$(INST_BINDIR)' INST_SHAREDIR='$(INST_SHAREDIR)' \
	    tools/install --remove $(MODULES)

rock: deps ## build and install the rock in a clean copy, on every Lua
	@tools/rock $(LUA_VERSIONS)

deb: ## build the Debian packages of packaging/debian, into build/deb
	@tools/deps deb
	@tools/deb

clean: ## remove everything that was built
	rm -rf build doc coverage
	find src -name '*.o' -exec rm -f {} +
	rm -f cce/core.so *.rock
	@rmdir cce 2>/dev/null || true

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: all all-luas harness test-core c-tests fuzzers bench-modules deps demo check \
        test test-long asan tsan valgrind coverage matrix mutate fuzz lint docs man bench install \
        uninstall rock deb clean help
