/* The table of the files that assets.S holds. */

#include "server/api/assets.h"

#include <stdio.h>
#include <string.h>

#include "base/sha256.h"
#include "base/size.h"

#define ASSET(symbol, path, type, file) extern const char asset_##symbol[], asset_##symbol##_end[];
#include "server/api/asset_list.h"
#undef ASSET

static const struct adl_asset assets[] = {
#define ASSET(symbol, path, type, file) {path, type, asset_##symbol, asset_##symbol##_end},
#include "server/api/asset_list.h"
#undef ASSET
};

size_t adl_asset_length(const struct adl_asset *asset)
{
    return (size_t)(asset->end - asset->data);
}

const struct adl_asset *adl_asset_find(const char *path)
{
    for (size_t i = 0; i < ADL_COUNT(assets); i++)
        if (!strcmp(assets[i].path, path))
            return &assets[i];
    return NULL;
}

void adl_asset_etag(const struct adl_asset *asset, char text[20])
{
    struct adl_sha256 hash;
    char hex[65];

    adl_sha256_init(&hash);
    adl_sha256_update(&hash, asset->data, adl_asset_length(asset));
    adl_sha256_hex(&hash, hex);
    snprintf(text, 20, "\"%.16s\"", hex);
}
