/*
 * secret_file: secrets out of files. What is read lies in pages of secrets at
 * each step, and nowhere else.
 *
 * Links and files that other users prepared are refused, see path.h. No message
 * ever holds a byte of the secret.
 */
#ifndef CCE_OS_FILE_SECRET_FILE_H
#define CCE_OS_FILE_SECRET_FILE_H

#include "core/secret.h"
#include "core/status.h"

/* The whole file (or pipe) without a byte order mark and without one final
 * newline ("\n" or "\r\n").
 * FILE_ERROR when it cannot be read, is empty or beyond CCE_SECRET_MAX. */
int cce_secret_from_file(struct cce_secret *secret, const char *path,
                         struct cce_error *err);

/* The same of a regular file that its owner alone can read and write, and
 * whose owner is this process's user or root; else FILE_ERROR. */
int cce_secret_from_private_file(struct cce_secret *secret, const char *path,
                                 struct cce_error *err);

#endif
