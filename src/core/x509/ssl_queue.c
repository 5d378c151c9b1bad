#include "core/x509/ssl_queue.h"

#include <openssl/err.h>

void cce_ssl_queue_enter(struct cce_ssl_queue *queue)
{
    queue->was_empty = ERR_peek_error() == 0;
    ERR_set_mark();
}

static bool is_memory(unsigned long code)
{
    return ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
}

/* A failed allocation is often followed by entries of the callers, so look at
 * all that are ours; when there are foreign ones below, only the last can be
 * told apart. */
static bool ran_out_of_memory(const struct cce_ssl_queue *queue)
{
    unsigned long code;

    if (!queue->was_empty)
        return is_memory(ERR_peek_last_error());
    while ((code = ERR_get_error()) != 0)
        if (is_memory(code))
            return true;
    return false;
}

int cce_ssl_queue_leave(struct cce_ssl_queue *queue, int result,
                        struct cce_error *err)
{
    if (result != 0 && ran_out_of_memory(queue))
        cce_fail_memory(err);
    ERR_pop_to_mark();
    return result;
}
