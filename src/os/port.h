/*
 * port: TCP ports of this machine.
 */
#ifndef CCE_OS_PORT_H
#define CCE_OS_PORT_H

#include "core/status.h"

/* A port without a listener at 127.0.0.1 at this moment. */
int cce_port_free(int *port, struct cce_error *err);

#endif
