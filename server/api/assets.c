/* Finds the built-in files, whose bytes are in assets.S, and the coding in which one is sent. */

#include "server/api/assets.h"

#include <string.h>

#include "base/size.h"

#define ASSET(number, path, type, policy, etag, etag_gz, etag_br)                                  \
    extern const char asset_##number[], asset_##number##_end[], asset_##number##_gz[],             \
        asset_##number##_gz_end[], asset_##number##_br[], asset_##number##_br_end[];
#include "server/api/asset_list.h"
#undef ASSET

static const struct adl_asset assets[] = {
#define ASSET(number, path, type, policy, etag, etag_gz, etag_br)                                  \
    {path,                                                                                         \
     type,                                                                                         \
     policy,                                                                                       \
     {{asset_##number, asset_##number##_end, etag},                                                \
      {asset_##number##_gz, asset_##number##_gz_end, etag_gz},                                     \
      {asset_##number##_br, asset_##number##_br_end, etag_br}}},
#include "server/api/asset_list.h"
#undef ASSET
};

size_t adl_asset_length(const struct adl_asset *asset, enum adl_coding coding)
{
    return (size_t)(asset->codings[coding].end - asset->codings[coding].data);
}

const struct adl_asset *adl_asset_find(const char *path)
{
    for (size_t i = 0; i < ADL_COUNT(assets); i++)
        if (!strcmp(assets[i].path, path))
            return &assets[i];
    return NULL;
}

enum adl_coding adl_asset_choose(const struct adl_asset *asset, const char *accept)
{
    size_t lengths[ADL_CODINGS];

    for (int coding = 0; coding < ADL_CODINGS; coding++)
        lengths[coding] = adl_asset_length(asset, (enum adl_coding)coding);
    return adl_coding_choose(accept, lengths);
}
