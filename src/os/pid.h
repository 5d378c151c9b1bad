/*
 * pid: which process this is, without a system call each time.
 *
 * Every request asks whether its engine is this process's own or has come
 * through a fork. The answer is kept in a page that the kernel empties in a
 * child, whichever code forked, and by whatever call. Where there is no such
 * page it is getpid.
 */
#ifndef CCE_OS_PID_H
#define CCE_OS_PID_H

#include <sys/types.h>

pid_t cce_pid(void);

#endif
