#ifndef ADL_SERVER_API_ASSETS_H
#define ADL_SERVER_API_ASSETS_H

/* The files built into the program: the web page and the OpenAPI document.
 * assets.S includes their bytes. */

#include <stddef.h>

struct adl_asset {
    const char *path; /* "/style.css" */
    const char *type; /* Content-Type */
    const char *data;
    const char *end; /* behind the last byte */
};

size_t adl_asset_length(const struct adl_asset *asset);

/* The asset at a path; NULL when there is none. */
const struct adl_asset *adl_asset_find(const char *path);

/* Computes the ETags, once: the server does it at its start, so that no I/O thread
 * hashes. Thread-safe; a second caller waits for the first. */
void adl_assets_hash(void);

/* The quoted ETag of an asset: the first 16 hexadecimal digits of the SHA-256 of its
 * bytes. The text is static and does not change. Calls adl_assets_hash() if nobody
 * has yet. */
const char *adl_asset_etag(const struct adl_asset *asset);

#endif
