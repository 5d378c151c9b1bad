#include "os/module.h"

#include <dlfcn.h>
#include <stdint.h>

void cce_module_pin(void)
{
    Dl_info module;

    if (dladdr((void *)(uintptr_t)cce_module_pin, &module) != 0)
        dlopen(module.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}
