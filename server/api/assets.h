#ifndef ADL_SERVER_API_ASSETS_H
#define ADL_SERVER_API_ASSETS_H

/* The files that the program carries in itself: the web page and the OpenAPI
 * document. assets.S puts them there. */

#include <stddef.h>

struct adl_asset {
    const char *path; /* "/style.css" */
    const char *type; /* Content-Type */
    const char *data;
    const char *end;
};

size_t adl_asset_length(const struct adl_asset *asset);

/* NULL when there is none at that path. */
const struct adl_asset *adl_asset_find(const char *path);

/* A quoted ETag of its bytes into `text`. */
void adl_asset_etag(const struct adl_asset *asset, char text[20]);

#endif
