#include "os/terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool cce_terminal_is(int fd)
{
    return isatty(fd) == 1;
}

int cce_terminal_size(int fd, int *columns, int *rows, struct cce_error *err)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) != 0)
        return cce_fail(err, CCE_UNSUPPORTED, "descriptor %d: %s", fd,
                        strerror(errno));
    /* Nobody has told a serial line, or a terminal that `script` made. */
    if (size.ws_col == 0)
        return cce_fail(err, CCE_UNSUPPORTED, "descriptor %d: no size is set",
                        fd);
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}
