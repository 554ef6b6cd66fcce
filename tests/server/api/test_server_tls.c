/* `serve --tls-cert`: versions and ciphers, requests over TLS, replacing the certificate while
 * clients are connected, certificates of clients. The client is GnuTLS, with certificates that it
 * makes here. */

#include "support/test.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/scratch.h"
#include "support/server_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

static struct test_service service;
static struct test_server admin;

/* --- certificates ------------------------------------------------------------------- */

struct identity {
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
};

/* Makes a certificate for localhost, signed by `authority`, or by itself if that is NULL. */
static struct identity make_identity(const char *name, const struct identity *authority)
{
    static unsigned char serial;
    struct identity made;

    serial++;
    gnutls_x509_privkey_init(&made.key);
    gnutls_x509_privkey_generate(made.key, GNUTLS_PK_ECDSA,
                                 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_init(&made.certificate);
    gnutls_x509_crt_set_version(made.certificate, 3);
    gnutls_x509_crt_set_serial(made.certificate, &serial, 1);
    gnutls_x509_crt_set_dn_by_oid(made.certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                  (unsigned)strlen(name));
    gnutls_x509_crt_set_subject_alt_name(made.certificate, GNUTLS_SAN_DNSNAME, "localhost", 9,
                                         GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_activation_time(made.certificate, time(NULL) - 60);
    gnutls_x509_crt_set_expiration_time(made.certificate, time(NULL) + 3600);
    gnutls_x509_crt_set_basic_constraints(made.certificate, authority == NULL, -1);
    gnutls_x509_crt_set_key(made.certificate, made.key);
    CU_ASSERT_EQUAL_FATAL(
        gnutls_x509_crt_sign2(made.certificate,
                              authority ? authority->certificate : made.certificate,
                              authority ? authority->key : made.key, GNUTLS_DIG_SHA256, 0),
        0);
    return made;
}

static void free_identity(struct identity *identity)
{
    gnutls_x509_crt_deinit(identity->certificate);
    gnutls_x509_privkey_deinit(identity->key);
}

static void write_identity(const struct identity *identity, const char *certificate,
                           const char *key)
{
    gnutls_datum_t text;
    FILE *file;

    CU_ASSERT_EQUAL_FATAL(
        gnutls_x509_crt_export2(identity->certificate, GNUTLS_X509_FMT_PEM, &text), 0);
    file = scratch_file(certificate, "w");
    fwrite(text.data, 1, text.size, file);
    fclose(file);
    gnutls_free(text.data);
    CU_ASSERT_EQUAL_FATAL(gnutls_x509_privkey_export2(identity->key, GNUTLS_X509_FMT_PEM, &text),
                          0);
    file = scratch_file(key, "w");
    fwrite(text.data, 1, text.size, file);
    fclose(file);
    gnutls_free(text.data);
}

/* --- the client ------------------------------------------------------------------------ */

struct client {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

/* Connects and shakes hands. Returns false if that fails, or if the server's certificate is not
 * signed by `authority` for localhost. */
static bool client_open(struct client *client, const char *priorities,
                        const struct identity *authority, const struct identity *own)
{
    struct timeval patience = {.tv_sec = 30};
    int code;

    client->fd = test_connect(&service.server);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    gnutls_certificate_allocate_credentials(&client->credentials);
    gnutls_certificate_set_x509_trust(client->credentials,
                                      (gnutls_x509_crt_t *)&authority->certificate, 1);
    if (own)
        gnutls_certificate_set_x509_key(client->credentials, (gnutls_x509_crt_t *)&own->certificate,
                                        1, own->key);
    gnutls_init(&client->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    CU_ASSERT_EQUAL(gnutls_priority_set_direct(client->session, priorities, NULL), 0);
    gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials);
    gnutls_server_name_set(client->session, GNUTLS_NAME_DNS, "localhost", 9);
    gnutls_session_set_verify_cert(client->session, "localhost", 0);
    gnutls_transport_set_int(client->session, client->fd);
    do
        code = gnutls_handshake(client->session);
    while (code < 0 && !gnutls_error_is_fatal(code));
    return code == 0;
}

static void client_close(struct client *client)
{
    gnutls_deinit(client->session);
    gnutls_certificate_free_credentials(client->credentials);
    close(client->fd);
}

static bool client_send(struct client *client, const void *bytes, size_t length)
{
    const char *next = bytes;

    while (length > 0) {
        ssize_t sent = gnutls_record_send(client->session, next, length);
        if (sent <= 0)
            return false;
        next += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* Receives to the end of the connection, as a text. */
static void client_receive(struct client *client, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;

    while (length < size - 1 &&
           (got = gnutls_record_recv(client->session, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
}

/* Sends a request and returns the status of the answer; 0: none. */
static int status_of(struct client *client, const char *request)
{
    char text[20000] = "";
    int status = 0;

    if (client_send(client, request, strlen(request)))
        client_receive(client, text, sizeof text);
    return sscanf(text, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

/* Whether a client can connect that trusts this authority. */
static bool is_served(const char *priorities, const struct identity *authority,
                      const struct identity *own)
{
    struct client client;
    bool served = client_open(&client, priorities, authority, own) &&
                  status_of(&client, GET("/healthz")) == 200;
    client_close(&client);
    return served;
}

/* --- the server ------------------------------------------------------------------------ */

/* Starts a server with the certificate that was written, and arguments that end with NULL. Whether
 * it is ready is asked on its other listener, which is a Unix socket without TLS. */
static bool open_service(const char *const *more)
{
    char socket_name[100], certificate[300], key[300];
    const char *arguments[20] = {"--model",        test_small_model(), "--tls-cert",
                                 certificate,      "--tls-key",        key,
                                 "--admin-listen", socket_name};

    snprintf(certificate, sizeof certificate, "%s", scratch_path("certificate.pem"));
    snprintf(key, sizeof key, "%s", scratch_path("key.pem"));
    snprintf(socket_name, sizeof socket_name, "unix:%s", scratch_path("socket"));
    snprintf(admin.address, sizeof admin.address, "%s", socket_name);
    for (size_t i = 0; more && more[i]; i++)
        arguments[i + 8] = more[i];
    return arguments[1] && test_server_start(&service.server, arguments) == 0 &&
           test_server_ready(&admin) == 0;
}

static void speaks_the_safe_versions(void)
{
    static const struct {
        const char *priorities;
        bool served;
    } cases[] = {
        {"NORMAL", true},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.3", true},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2", true},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM", true},
        /* Old versions, ciphers without authentication, keys without forward secrecy. */
        {"NORMAL:-VERS-ALL:+VERS-TLS1.1", false},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC", false},
        {"NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA", false},
    };
    struct identity one, other;

    scratch_open("tls", NULL);
    one = make_identity("one", NULL);
    other = make_identity("other", NULL);
    write_identity(&one, "certificate.pem", "key.pem");
    if (!open_service(NULL))
        return;
    for (size_t i = 0; i < ADL_COUNT(cases); i++)
        if (is_served(cases[i].priorities, &one, NULL) != cases[i].served)
            TEST_FAIL("%s: %s", cases[i].priorities, cases[i].served ? "refused" : "served");
    CU_ASSERT(!is_served("NORMAL", &other, NULL));
    double expires = test_metric(&admin, "\nadl_tls_certificate_expires_timestamp_seconds ");
    CU_ASSERT(expires == (double)gnutls_x509_crt_get_expiration_time(one.certificate));
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    free_identity(&one);
    free_identity(&other);
}

/* A picture, a form that is too large, and a request that the library would not answer itself. */
static void answers_over_tls(void)
{
    static const char *const more[] = {"--max-body", "60000", NULL};
    char text[20000], head[300];
    struct client client;
    struct identity one;
    size_t length;

    scratch_open("tls", NULL);
    one = make_identity("one", NULL);
    write_identity(&one, "certificate.pem", "key.pem");
    if (!open_service(more))
        return;
    void *jpeg = test_picture(TEST_JPEG, 300, 200, &length);
    snprintf(head, sizeof head, POST_HEAD "Connection: close\r\nContent-Length: %zu\r\n\r\n",
             length);
    CU_ASSERT(client_open(&client, "NORMAL", &one, NULL));
    CU_ASSERT(client_send(&client, head, strlen(head)) && client_send(&client, jpeg, length));
    client_receive(&client, text, sizeof text);
    CU_ASSERT(strstr(text, "HTTP/1.1 200") == text && strstr(text, "\"predictions\""));
    client_close(&client);
    adl_free(jpeg);

    CU_ASSERT(client_open(&client, "NORMAL", &one, NULL));
    CU_ASSERT_EQUAL(status_of(&client, POST_HEAD "Content-Length: 70000\r\n\r\n"), 413);
    client_close(&client);
    CU_ASSERT(client_open(&client, "NORMAL", &one, NULL));
    CU_ASSERT_EQUAL(status_of(&client, POST_HEAD "Content-Length: 12x\r\n\r\n"), 400);
    client_close(&client);

    /* A client without TLS gets no answer, and harms nobody. */
    int fd = test_connect(&service.server);
    test_send_text(fd, GET("/healthz"));
    CU_ASSERT(test_next_status(fd) == 0);
    close(fd);
    CU_ASSERT(is_served("NORMAL", &one, NULL));
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    free_identity(&one);
}

static void reload(void)
{
    double reloads =
        test_metric(&admin, "\nadl_model_reloads_total{model=\"default\",outcome=\"ok\"} ");
    test_server_signal(&service.server, SIGHUP);
    test_metric_reaches(&admin, "\nadl_model_reloads_total{model=\"default\",outcome=\"ok\"} ",
                        reloads + 1);
}

static void replaces_its_certificate(void)
{
    struct identity one, two;
    struct client kept;

    scratch_open("tls", NULL);
    one = make_identity("one", NULL);
    two = make_identity("two", NULL);
    write_identity(&one, "certificate.pem", "key.pem");
    if (!open_service(NULL))
        return;
    CU_ASSERT(client_open(&kept, "NORMAL", &one, NULL));
    write_identity(&two, "certificate.pem", "key.pem");
    reload();
    CU_ASSERT(is_served("NORMAL", &two, NULL));
    CU_ASSERT(!is_served("NORMAL", &one, NULL));
    CU_ASSERT_EQUAL(status_of(&kept, GET("/healthz")), 200);
    client_close(&kept);
    /* A key that belongs to another certificate is refused, and the last pair stays. */
    write_identity(&one, "certificate.pem", "unused.pem");
    struct test_reply reply = test_get(&admin, "POST", "/reload", NULL);
    CU_ASSERT_EQUAL(reply.status, 500);
    CU_ASSERT(reply.body && strstr(reply.body, "belongs to another certificate"));
    test_reply_release(&reply);
    CU_ASSERT(is_served("NORMAL", &two, NULL));
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    free_identity(&one);
    free_identity(&two);
}

static void asks_clients_for_certificates(void)
{
    struct identity server, authority, member, stranger;
    char path[300];
    const char *more[] = {"--tls-client-ca", path, NULL};

    scratch_open("tls", NULL);
    server = make_identity("server", NULL);
    authority = make_identity("authority", NULL);
    member = make_identity("member", &authority);
    stranger = make_identity("stranger", NULL);
    write_identity(&server, "certificate.pem", "key.pem");
    write_identity(&authority, "authority.pem", "authority-key.pem");
    snprintf(path, sizeof path, "%s", scratch_path("authority.pem"));
    if (!open_service(more))
        return;
    CU_ASSERT(is_served("NORMAL", &server, &member));
    CU_ASSERT(is_served("NORMAL:-VERS-ALL:+VERS-TLS1.2", &server, &member));
    CU_ASSERT(!is_served("NORMAL", &server, NULL));
    CU_ASSERT(!is_served("NORMAL:-VERS-ALL:+VERS-TLS1.2", &server, NULL));
    CU_ASSERT(!is_served("NORMAL", &server, &stranger));
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    free_identity(&server);
    free_identity(&authority);
    free_identity(&member);
    free_identity(&stranger);
}

static void refuses_what_is_no_certificate(void)
{
    struct identity one, two;
    char good[300], key[300], bad[300], error[1000];
    const struct {
        const char *certificate, *key;
        int status;
        const char *told;
    } cases[] = {
        {good, NULL, 2, "--tls-key"}, {NULL, key, 2, "--tls-cert"},
        {bad, key, 1, "no chain"},    {good, bad, 1, "no private key"},
        {key, key, 1, "no chain"},    {good, "/nonexistent", 1, "/nonexistent"},
        {good, key, 0, ""},
    };

    scratch_open("tls", NULL);
    one = make_identity("one", NULL);
    two = make_identity("two", NULL);
    write_identity(&one, "certificate.pem", "key.pem");
    write_identity(&two, "other.pem", "other-key.pem");
    scratch_append("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    snprintf(good, sizeof good, "%s", scratch_path("certificate.pem"));
    snprintf(key, sizeof key, "%s", scratch_path("key.pem"));
    snprintf(bad, sizeof bad, "%s", scratch_path("bad.pem"));
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        const char *arguments[12] = {"serve", "--check-config", "--model", test_small_model()};
        size_t count = 4;
        if (cases[i].certificate) {
            arguments[count++] = "--tls-cert";
            arguments[count++] = cases[i].certificate;
        }
        if (cases[i].key) {
            arguments[count++] = "--tls-key";
            arguments[count++] = cases[i].key;
        }
        int status = test_program_run(arguments, error, sizeof error);
        if (status != cases[i].status || !strstr(error, cases[i].told))
            TEST_FAIL("case %zu: %d, %s", i, status, error);
    }
    free_identity(&one);
    free_identity(&two);
}

/* A client that speaks TLS to a server without it: the log says so, and other clients do not
 * notice. */
static void says_that_there_is_no_tls(void)
{
    const char *arguments[] = {"--model", test_small_model(), NULL};
    struct identity one = make_identity("one", NULL);
    struct client client;
    bool said = false;

    if (!arguments[1] || test_server_start(&service.server, arguments) < 0)
        return;
    /* Often a handshake has not arrived yet when its connection is accepted; then nothing is said
     * before a later one. */
    for (int i = 0; i < 50 && !said; i++, poll(NULL, 0, 100)) {
        CU_ASSERT(!client_open(&client, "NORMAL", &one, NULL));
        client_close(&client);
        char *log = test_server_log(&service.server);
        said = strstr(log, "TLS handshake") && strstr(log, "use http://");
        free(log);
    }
    CU_ASSERT(said);
    CU_ASSERT_EQUAL(test_server_ready(&service.server), 0);
    CU_ASSERT_EQUAL(test_server_stop(&service.server), 0);
    free_identity(&one);
}

TEST_SUITE(server_tls, {"speaks the safe versions", speaks_the_safe_versions},
           {"answers over TLS", answers_over_tls},
           {"replaces its certificate", replaces_its_certificate},
           {"asks clients for certificates", asks_clients_for_certificates},
           {"says that there is no TLS", says_that_there_is_no_tls},
           {"refuses what is no certificate", refuses_what_is_no_certificate});
