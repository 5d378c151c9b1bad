#include "net/tls.h"

#include <openssl/ssl.h>

void cce_tls_wipe_plaintext(void *context)
{
#ifdef SSL_OP_CLEANSE_PLAINTEXT
    SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
#else
    (void)context;
#endif
}
