#include "core.h"

int lcce_open_secret(lua_State *L)
{
    (void)L;
    return 0;
}
