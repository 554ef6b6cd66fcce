/* Finds the built-in files, whose bytes are in assets.S, and computes their ETags. */

#include "server/api/assets.h"

#include <pthread.h>
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

static char etags[ADL_COUNT(assets)][20]; /* written once, by hash_all() */

static void hash_all(void)
{
    for (size_t i = 0; i < ADL_COUNT(assets); i++) {
        struct adl_sha256 hash;
        char hex[65];

        adl_sha256_init(&hash);
        adl_sha256_update(&hash, assets[i].data, adl_asset_length(&assets[i]));
        adl_sha256_hex(&hash, hex);
        snprintf(etags[i], sizeof etags[i], "\"%.16s\"", hex);
    }
}

void adl_assets_hash(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, hash_all);
}

const char *adl_asset_etag(const struct adl_asset *asset)
{
    adl_assets_hash();
    return etags[asset - assets];
}
