/*
 * lutil: what all bindings share: the error surface, classes, arguments.
 *
 * Wrong use (a type, an unknown option, a closed object) raises and names the
 * argument. What the world can cause returns nil, message, code.
 */
#ifndef CCE_LUA_LUTIL_H
#define CCE_LUA_LUTIL_H

#include <stdbool.h>

#include "core/bytes.h"
#include "core/status.h"
#include "lua/lcompat.h"

/* Pushes nil, message, code; returns 3. */
int lcce_fail(lua_State *L, const struct cce_error *err);

/* Registers class `name`: its methods, and `finalize` as __gc, __close and
 * the method "close" (idempotent; it sees a zeroed object when construction
 * failed half-way). `tostring` may be NULL: then "cce.signer: 0x…". Leaves
 * nothing on the stack. */
void lcce_newclass(lua_State *L, const char *name, const luaL_Reg *methods,
                   lua_CFunction finalize, lua_CFunction tostring);

/* A new zeroed userdata of a class, on the stack: only then acquire what it
 * holds, so that any later error collects it. */
void *lcce_newobject(lua_State *L, const char *name, size_t size);

/* A string argument without a zero byte inside, which would cut it: a path, an
 * address. */
const char *lcce_check_text(lua_State *L, int index);

/* Raises "bad argument #index (…)". For a field of an option table: raises
 * "bad option 'field' (…)". */
int lcce_option_error(lua_State *L, const char *field, const char *format, ...);

/* Calls `visit` with every key and value of the option table at `index`:
 * visit returns false for a key it does not know, which raises "unknown
 * option 'key'". The value is at the top of the stack during the call, and
 * visit leaves the stack as it was. */
typedef bool lcce_option_visitor(lua_State *L, const char *key, void *context);
void lcce_options(lua_State *L, int index, lcce_option_visitor *visit,
                  void *context);

/* The bytes of the string at `index`, which stays where it is. A number becomes
 * a string there. */
struct cce_bytes lcce_to_bytes(lua_State *L, int index);

/* Typed reads of the value at the top of the stack for option `key`; each
 * raises when the type is wrong. A string has no NUL inside. The pointer is
 * good as long as the table holds the value. */
const char *lcce_option_string(lua_State *L, const char *key);
bool lcce_option_boolean(lua_State *L, const char *key);
lua_Number lcce_option_number(lua_State *L, const char *key);

#endif
