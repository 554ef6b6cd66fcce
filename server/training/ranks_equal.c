/* Compares what processes have by a digest, which rank 0 sends to the others. */

#include "server/training/ranks_equal.h"

#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "io/json_text.h"

/* Writes all that has to be equal as a text. */
static char *common_text(json_t *what, struct adl_error *err)
{
    struct adl_error unknown = {0};
    enum adl_isa isa;
    const char *path =
        adl_isa_choose(ADL_ISA_AUTO, &isa, &unknown) == 0 ? adl_isa_name(isa) : "unknown";
    json_t *all = json_pack("{s:s, s:s, s:O}", "program", ADL_VERSION, "path", path, "what", what);
    char *text = adl_json_to_text(all, JSON_COMPACT | JSON_SORT_KEYS, NULL, err);
    json_decref(all);
    return text;
}

int adl_ranks_compare(const struct adl_exchange *exchange, json_t *what, const char *names,
                      struct adl_error *err)
{
    struct adl_sha256 hash;
    char own[65], first[65];
    char *text = common_text(what, err);
    if (!text)
        return -1;
    adl_sha256_init(&hash);
    adl_sha256_update(&hash, text, strlen(text));
    adl_sha256_hex(&hash, own);
    adl_free(text);
    memcpy(first, own, sizeof first);
    if (adl_exchange_copy(exchange, first, sizeof first, err) < 0)
        return -1;
    if (memcmp(first, own, sizeof first) == 0)
        return 0;
    return adl_fail(err, ADL_ERR_ARG,
                    "process %d differs from process 0 in its program, processor path (ADL_CPU), "
                    "%s; all have to be equal",
                    exchange->rank, names);
}
