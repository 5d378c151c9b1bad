#include "core.h"

int lcce_open_sys(lua_State *L)
{
    (void)L;
    return 0;
}
