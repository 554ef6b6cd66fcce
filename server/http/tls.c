/* Holds the certificate of TLS. libmicrohttpd asks for it at the beginning of each connection
 * through a callback of GnuTLS, which has no argument of its own: hence the static pointer.
 *
 * A reload makes a new version and leaves the old one where it is, because handshakes that have
 * begun still use it. Only changed files make a version, so there are few. */

#include "server/http/tls.h"

#ifndef ADL_NO_TLS

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <pthread.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "io/file.h"

#define MOST_CERTIFICATES 16 /* in a chain */
#define FILE_BYTES (256 * ADL_KIB)

/* What was read from one state of the files. */
struct version {
    gnutls_pcert_st chain[MOST_CERTIFICATES];
    unsigned count;
    gnutls_privkey_t key;
    int64_t expires;
    struct version *older;
};

struct adl_tls {
    const char *certificate_path, *key_path; /* borrowed */
    char *client_ca;
    pthread_mutex_t lock;
    struct version *current; /* under the lock; a version does not change */
};

/* The only one of the process; set before connections begin. */
static struct adl_tls *in_use;

static void version_free(struct version *version)
{
    if (!version)
        return;
    for (unsigned i = 0; i < version->count; i++)
        gnutls_pcert_deinit(&version->chain[i]);
    if (version->key)
        gnutls_privkey_deinit(version->key);
    adl_free(version);
}

static int fail(const char *path, const char *what, int code, struct adl_error *err)
{
    return adl_fail(err, ADL_ERR_FORMAT, "%s: %s%s%s", path, what, code ? ": " : "",
                    code ? gnutls_strerror(code) : "");
}

/* Reads a file in PEM; the caller frees text->data with adl_free. */
static int read_pem(const char *path, gnutls_datum_t *text, struct adl_error *err)
{
    size_t length = 0;

    text->data = adl_file_read(path, FILE_BYTES, &length, err);
    text->size = (unsigned)length;
    return text->data ? 0 : -1;
}

static int read_chain(struct version *version, const char *path, struct adl_error *err)
{
    gnutls_x509_crt_t first = NULL;
    gnutls_datum_t text;
    int code;

    if (read_pem(path, &text, err) < 0)
        return -1;
    version->count = MOST_CERTIFICATES;
    code = gnutls_pcert_list_import_x509_raw(version->chain, &version->count, &text,
                                             GNUTLS_X509_FMT_PEM, 0);
    adl_free(text.data);
    if (code < 0) {
        version->count = 0;
        return fail(path, "no chain of certificates in PEM", code, err);
    }
    if (gnutls_x509_crt_init(&first) == 0 &&
        gnutls_x509_crt_import(first, &version->chain[0].cert, GNUTLS_X509_FMT_DER) == 0)
        version->expires = (int64_t)gnutls_x509_crt_get_expiration_time(first);
    if (first)
        gnutls_x509_crt_deinit(first);
    return 0;
}

static int read_key(struct version *version, const char *path, struct adl_error *err)
{
    gnutls_datum_t text;
    int code;

    if (read_pem(path, &text, err) < 0)
        return -1;
    code = gnutls_privkey_init(&version->key);
    if (code == 0)
        code = gnutls_privkey_import_x509_raw(version->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
    explicit_bzero(text.data, text.size);
    adl_free(text.data);
    return code == 0 ? 0
                     : fail(path,
                            code == GNUTLS_E_DECRYPTION_FAILED
                                ? "the key is encrypted; store it without a password"
                                : "no private key in PEM",
                            code, err);
}

static bool belong_together(const struct version *version)
{
    unsigned char of_key[64], of_certificate[64];
    size_t key_size = sizeof of_key, certificate_size = sizeof of_certificate;
    gnutls_pubkey_t public = NULL;
    bool same = gnutls_pubkey_init(&public) == 0 &&
                gnutls_pubkey_import_privkey(public, version->key, 0, 0) == 0 &&
                gnutls_pubkey_get_key_id(public, 0, of_key, &key_size) == 0 &&
                gnutls_pubkey_get_key_id(version->chain[0].pubkey, 0, of_certificate,
                                         &certificate_size) == 0 &&
                key_size == certificate_size && !memcmp(of_key, of_certificate, key_size);

    if (public)
        gnutls_pubkey_deinit(public);
    return same;
}

static struct version *version_read(const struct adl_tls *tls, struct adl_error *err)
{
    struct version *version = adl_calloc(1, sizeof *version);

    if (!version) {
        adl_fail_nomem(err, "the certificate");
        return NULL;
    }
    if (read_chain(version, tls->certificate_path, err) < 0 ||
        read_key(version, tls->key_path, err) < 0)
        goto out;
    if (belong_together(version))
        return version;
    adl_fail(err, ADL_ERR_FORMAT, "%s: the key belongs to another certificate than %s",
             tls->key_path, tls->certificate_path);
out:
    version_free(version);
    return NULL;
}

static bool is_same(const struct version *a, const struct version *b)
{
    if (!a || a->count != b->count)
        return false;
    /* The same certificates have the same key. */
    for (unsigned i = 0; i < a->count; i++)
        if (a->chain[i].cert.size != b->chain[i].cert.size ||
            memcmp(a->chain[i].cert.data, b->chain[i].cert.data, a->chain[i].cert.size) != 0)
            return false;
    return true;
}

static int read_client_ca(struct adl_tls *tls, const char *path, struct adl_error *err)
{
    gnutls_certificate_credentials_t trial = NULL;
    gnutls_datum_t text;
    int code;

    if (read_pem(path, &text, err) < 0)
        return -1;
    tls->client_ca = (char *)text.data;
    code = gnutls_certificate_allocate_credentials(&trial);
    if (code == 0)
        code = gnutls_certificate_set_x509_trust_mem(trial, &text, GNUTLS_X509_FMT_PEM);
    if (trial)
        gnutls_certificate_free_credentials(trial);
    return code > 0 ? 0 : fail(path, "no certificates of authorities in PEM", code, err);
}

struct adl_tls *adl_tls_create(const char *certificate, const char *key, const char *client_ca,
                               struct adl_error *err)
{
    struct adl_tls *tls = adl_calloc(1, sizeof *tls);

    if (!tls) {
        adl_fail_nomem(err, "TLS");
        return NULL;
    }
    tls->certificate_path = certificate;
    tls->key_path = key;
    pthread_mutex_init(&tls->lock, NULL);
    if ((client_ca && read_client_ca(tls, client_ca, err) < 0) || adl_tls_reload(tls, err) < 0) {
        adl_tls_free(tls);
        return NULL;
    }
    in_use = tls;
    return tls;
}

int adl_tls_reload(struct adl_tls *tls, struct adl_error *err)
{
    struct version *version = version_read(tls, err);

    if (!version)
        return -1;
    pthread_mutex_lock(&tls->lock);
    bool same = is_same(tls->current, version);
    if (!same) {
        version->older = tls->current;
        tls->current = version;
    }
    pthread_mutex_unlock(&tls->lock);
    if (same)
        version_free(version);
    return 0;
}

void adl_tls_free(struct adl_tls *tls)
{
    if (!tls)
        return;
    if (in_use == tls)
        in_use = NULL;
    for (struct version *version = tls->current, *older; version; version = older) {
        older = version->older;
        version_free(version);
    }
    pthread_mutex_destroy(&tls->lock);
    adl_free(tls->client_ca);
    adl_free(tls);
}

static struct version *current(struct adl_tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    struct version *version = tls->current;
    pthread_mutex_unlock(&tls->lock);
    return version;
}

int64_t adl_tls_expires(struct adl_tls *tls)
{
    return current(tls)->expires;
}

const char *adl_tls_client_ca(const struct adl_tls *tls)
{
    return tls->client_ca;
}

/* Gives GnuTLS the certificate of a handshake. Where clients have to have one, the library would
 * only ask for it: here it becomes a condition, checked before a request can be sent. */
static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                    int authority_count, const gnutls_pk_algorithm_t *algorithms,
                    int algorithm_count, gnutls_pcert_st **chain, unsigned *length,
                    gnutls_privkey_t *key)
{
    struct version *version = current(in_use);

    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    if (in_use->client_ca) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(session, NULL, 0);
    }
    *chain = version->chain;
    *length = version->count;
    *key = version->key;
    return 0;
}

void *adl_tls_callback(void)
{
    gnutls_certificate_retrieve_function2 *callback = retrieve;

    return (void *)(uintptr_t)callback;
}

ssize_t adl_tls_send(struct MHD_Connection *connection, const void *bytes, size_t length)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    return info ? gnutls_record_send(info->tls_session, bytes, length) : -1;
}

#endif
