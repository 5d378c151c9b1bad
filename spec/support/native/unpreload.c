/*
 * unpreload: LD_PRELOAD ends here. Loaded after the library that is meant for
 * one interpreter, it keeps the programs which that interpreter starts (a
 * shell, openssl, nginx) from loading it too.
 */
#include <stdlib.h>

__attribute__((constructor)) static void forget_preload(void)
{
    unsetenv("LD_PRELOAD");
}
