/*
 * check: what the C tests share. Each is a program that ends with 0, or names
 * the first thing that is not so.
 */
#ifndef CCE_SPEC_CHECK_H
#define CCE_SPEC_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

#endif
