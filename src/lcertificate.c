#include "core.h"

int lcce_open_certificate(lua_State *L)
{
    (void)L;
    return 0;
}
