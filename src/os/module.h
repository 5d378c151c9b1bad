/*
 * module: the shared object that this code is in, which Lua unloads when its
 * state closes.
 */
#ifndef CCE_OS_MODULE_H
#define CCE_OS_MODULE_H

/* Keeps it mapped until the process ends. To be called wherever other code
 * keeps a pointer into it: a thread, a library's callback. The Makefile links
 * with -z nodelete, but a rock is built without. */
void cce_module_pin(void);

#endif
