#ifndef ADL_SERVER_API_ASSETS_H
#define ADL_SERVER_API_ASSETS_H

/* The files built into the program: the web page with its style, scripts, icon and example
 * photographs, and the OpenAPI document (asset_list.h). assets.S includes their bytes. */

#include <stddef.h>

struct adl_asset {
    const char *path; /* "/style.css" */
    const char *type; /* Content-Type */
    const char *data;
    const char *end; /* after the last byte */
};

size_t adl_asset_length(const struct adl_asset *asset);

/* Returns the asset at a path; NULL if there is none. */
const struct adl_asset *adl_asset_find(const char *path);

/* Computes the ETags, once. The server calls this at its start, so that no I/O thread has to
 * compute them. Thread-safe; a second caller waits for the first. */
void adl_assets_hash(void);

/* Returns the quoted ETag of an asset: the first 16 hexadecimal digits of the SHA-256 of its
 * bytes. The text is static and does not change. Computes the ETags if that has not been done
 * yet. */
const char *adl_asset_etag(const struct adl_asset *asset);

#endif
