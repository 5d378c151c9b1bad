#include "core.h"

int lcce_open_sign(lua_State *L)
{
    (void)L;
    return 0;
}
