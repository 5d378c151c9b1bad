# lua-cce: see README.md. Variables may be set on the command line or in the environment.
LUA_VERSION ?= 5.4
CC          ?= cc
CFLAGS      ?= -O2 -g
WARNINGS    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wundef -Wvla
PKG_CONFIG  ?= pkg-config
LUA_PC      := $(if $(filter jit,$(LUA_VERSION)),luajit,lua$(LUA_VERSION))
BUILD       := build/$(LUA_VERSION)
SOURCES     := $(wildcard src/*.c)
OBJECTS     := $(SOURCES:src/%.c=$(BUILD)/%.o)
CPPFLAGS_ALL = -D_GNU_SOURCE -Isrc $(shell $(PKG_CONFIG) --cflags $(LUA_PC) libcurl libcrypto) $(CPPFLAGS)

all: $(BUILD)/cce/core.so

$(BUILD)/cce/core.so: $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) -shared -Wl,-z,nodelete $(LDFLAGS) -o $@ $(OBJECTS) $(shell $(PKG_CONFIG) --libs libcurl libcrypto) -lpthread

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu99 -fPIC -fvisibility=hidden $(WARNINGS) $(CPPFLAGS_ALL) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

.PHONY: all
