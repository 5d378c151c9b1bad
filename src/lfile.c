#include "core.h"

int lcce_open_file(lua_State *L)
{
    (void)L;
    return 0;
}
