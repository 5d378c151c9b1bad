#include "core.h"

int lcce_open_engine(lua_State *L)
{
    (void)L;
    return 0;
}
