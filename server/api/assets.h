#ifndef ADL_SERVER_API_ASSETS_H
#define ADL_SERVER_API_ASSETS_H

/* The files built into the program: the web page with its style, scripts, icon and example
 * photographs, and the OpenAPI document. pack_assets.sh makes them from web/ when the program is
 * built, assets.S includes their bytes. Each is there in up to three codings, and each coding has
 * an ETag of its own, a digest of its bytes that was computed then as well. */

#include <stddef.h>

#include "server/http/coding.h"

struct adl_asset_bytes {
    const char *data;
    const char *end;  /* after the last byte; data: there is no such coding */
    const char *etag; /* with its quotes */
};

struct adl_asset {
    const char *path;   /* "/style.css" */
    const char *type;   /* Content-Type */
    const char *policy; /* of a page: the directives script-src and style-src of its
                         * Content-Security-Policy; otherwise "" */
    struct adl_asset_bytes codings[ADL_CODINGS];
};

size_t adl_asset_length(const struct adl_asset *asset, enum adl_coding coding);

/* Returns the asset at a path; NULL if there is none. */
const struct adl_asset *adl_asset_find(const char *path);

/* Returns the coding of an asset that suits a header Accept-Encoding best (adl_coding_choose). */
enum adl_coding adl_asset_choose(const struct adl_asset *asset, const char *accept);

#endif
