/*
 * terminal: whether a descriptor is one, and how large.
 */
#ifndef CCE_OS_TERMINAL_H
#define CCE_OS_TERMINAL_H

#include <stdbool.h>

#include "core/status.h"

bool cce_terminal_is(int fd);

int cce_terminal_size(int fd, int *columns, int *rows, struct cce_error *err);

#endif
