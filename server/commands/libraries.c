/* The versions of the libraries; see libraries.h. */

#include "server/commands/libraries.h"

#include <jansson.h>
#include <stdio.h>
/* jpeglib.h needs stdio.h before it. */
#include <jpeglib.h>
#include <microhttpd.h>
#include <nettle/version.h>
#include <spng.h>
#include <webp/decode.h>
#include <zlib.h>

#define TEXT_OF(token) #token
#define TEXT(macro) TEXT_OF(macro)

static void add(struct adl_library **next, const char *name, const char *version)
{
    (*next)->name = name;
    snprintf((*next)->version, sizeof(*next)->version, "%s", version);
    ++*next;
}

size_t adl_libraries(struct adl_library list[ADL_LIBRARIES])
{
    const int webp = WebPGetDecoderVersion();
    struct adl_library *next = list;
    char text[64];

    add(&next, "libmicrohttpd", MHD_get_version());
    add(&next, "jansson", jansson_version_str());
#ifdef LIBJPEG_TURBO_VERSION
    add(&next, "libjpeg-turbo", TEXT(LIBJPEG_TURBO_VERSION));
#else
    add(&next, "libjpeg", TEXT(JPEG_LIB_VERSION));
#endif
    snprintf(text, sizeof text, "%d.%d", nettle_version_major(), nettle_version_minor());
    add(&next, "nettle", text);
    add(&next, "libspng", spng_version_string());
    snprintf(text, sizeof text, "%d.%d.%d", webp >> 16, webp >> 8 & 255, webp & 255);
    add(&next, "libwebp", text);
    add(&next, "zlib", zlibVersion());
    return (size_t)(next - list);
}
