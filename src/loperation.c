#include "core.h"

int lcce_open_operation(lua_State *L)
{
    (void)L;
    return 0;
}
