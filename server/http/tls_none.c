/* What a program without TLS has in place of tls.c: one function that says so, and others that
 * nobody calls. For those who build it so (make TLS=), for a static program above all; compiled
 * to nothing otherwise. */

#include "server/http/tls.h"

#ifdef ADL_NO_TLS

#include <stddef.h>

struct adl_tls *adl_tls_create(const char *certificate, const char *key, const char *client_ca,
                               struct adl_error *err)
{
    (void)key;
    (void)client_ca;
    adl_fail(err, ADL_ERR_UNSUPPORTED,
             "%s: this program is built without TLS; let a proxy before it speak TLS, or take a "
             "program with it",
             certificate);
    return NULL;
}

int adl_tls_reload(struct adl_tls *tls, struct adl_error *err)
{
    (void)tls;
    return adl_fail(err, ADL_ERR_UNSUPPORTED, "this program is built without TLS");
}

void adl_tls_free(struct adl_tls *tls)
{
    (void)tls;
}

int64_t adl_tls_expires(struct adl_tls *tls)
{
    (void)tls;
    return 0;
}

const char *adl_tls_client_ca(const struct adl_tls *tls)
{
    (void)tls;
    return NULL;
}

void *adl_tls_callback(void)
{
    return NULL;
}

ssize_t adl_tls_send(struct MHD_Connection *connection, const void *bytes, size_t length)
{
    (void)connection;
    (void)bytes;
    (void)length;
    return -1;
}

#endif
