#ifndef ADL_SERVER_SERVING_DECODERS_H
#define ADL_SERVER_SERVING_DECODERS_H

/* Helper processes that decode images in a sandbox: a file that makes a decoder crash, hang or do
 * what its sender wants costs that request, and the helper, which another one replaces. */

#include "image/image_decode.h"
#include "server/serving/metrics.h"

struct adl_decoders;

struct adl_decoders_config {
    int helpers;       /* are started at once */
    int most;          /* helpers at any time; more are started when all are busy */
    size_t file_bytes; /* of the largest file */
    size_t memory;     /* bytes that a helper may take */
    unsigned limit_s;  /* how long it may take for an image whose options have no pause */
    struct adl_metrics *metrics;
};

/* Starts the helpers and waits until they are in their sandboxes. The metrics have to outlive it.
 * Fails with ADL_ERR_UNSUPPORTED where they cannot be isolated, with ADL_ERR_IO and ADL_ERR_NOMEM
 * where they cannot be started. */
struct adl_decoders *adl_decoders_create(const struct adl_decoders_config *config,
                                         struct adl_error *err) ADL_MUST_CHECK;
/* Ends the helpers; nobody may use them any more. NULL is ignored. */
void adl_decoders_free(struct adl_decoders *decoders);

/* Returns how many helpers there are. */
int adl_decoders_count(struct adl_decoders *decoders);

/* What one thread decodes with. */
struct adl_decoder_client {
    struct adl_image_decoder decoder; /* first; for struct adl_decode_options */
    struct adl_decoders *decoders;
    double cpu_ms; /* processor time that helpers have spent for this client */
};

/* Prepares a client of these decoders. Decoding fails as without helpers; with ADL_ERR_FORMAT if
 * the helper crashed or said what makes no sense, with ADL_ERR_BUSY if it took too long, and with
 * ADL_ERR_NOMEM if it was killed, which is what the kernel does where memory is short, or if none
 * could be started. */
void adl_decoder_client_init(struct adl_decoder_client *client, struct adl_decoders *decoders);

#endif
