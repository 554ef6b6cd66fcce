/* Divides the images of a data set into train and val: by a share, or into folds of which one is
 * val.
 *
 * Both are stratified. The images are sorted by class and, within one, by random numbers that
 * depend on the seed and on the name of the image alone. For a share s, the first round(s n) of the
 * n images of a class are val, but never all of them. For K folds, the images are dealt in this
 * order like cards, so that the numbers of a class's images in two folds differ by 1 at most, and
 * so do the sizes of the folds; every image is in one fold. */

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "data/split.h"

#define DIVIDE_ROUND UINT64_C(0xd1f1de) /* of adl_rng_seed(), where an epoch would be */

/* An image with what it is sorted by. */
struct card {
    uint64_t key;
    int class_id;
    size_t index;
};

static int by_class_and_key(const void *a, const void *b)
{
    const struct card *x = a, *y = b;
    if (x->class_id != y->class_id)
        return x->class_id < y->class_id ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

int adl_division_check(const struct adl_dataset_division *division, struct adl_error *err)
{
    if (division->val_share > 0 && division->folds)
        return adl_fail(err, ADL_ERR_ARG, "--val-share and --folds exclude each other");
    if (!(division->val_share >= 0 && division->val_share < 1))
        return adl_fail(err, ADL_ERR_ARG, "a share of %g for val is not above 0 and below 1",
                        division->val_share);
    if (!division->folds && division->fold)
        return adl_fail(err, ADL_ERR_ARG, "--fold needs --folds K, the number of folds");
    if (division->folds &&
        (division->folds < 2 || division->fold < 1 || division->fold > division->folds))
        return adl_fail(err, ADL_ERR_ARG, "of --folds %d, --fold I has to be one of 1 to %d",
                        division->folds, division->folds);
    return 0;
}

/* Sets val[i] to whether image i is of val. */
static void deal(const struct card *cards, size_t count,
                 const struct adl_dataset_division *division, bool *val)
{
    for (size_t first = 0, next; first < count; first = next) {
        next = first;
        while (next < count && cards[next].class_id == cards[first].class_id)
            next++;
        size_t images = next - first;
        size_t share =
            ADL_MIN((size_t)floor(division->val_share * (double)images + 0.5), images - 1);
        for (size_t i = first; i < next; i++)
            val[cards[i].index] = division->folds
                                      ? i % (size_t)division->folds == (size_t)division->fold - 1
                                      : i - first < share;
    }
}

int adl_dataset_divide(struct adl_dataset *d, const struct adl_dataset_division *division,
                       bool val_part, const char *place, struct adl_error *err)
{
    struct card *cards = adl_malloc(d->count, sizeof *cards);
    bool *val = adl_malloc(d->count, sizeof *val);
    size_t kept = 0, vals = 0;
    struct adl_rng rng;
    int result = -1;

    if (!cards || !val) {
        adl_fail_nomem(err, "the split");
        goto out;
    }
    for (size_t i = 0; i < d->count; i++) {
        adl_rng_seed(&rng, (uint64_t)division->seed, DIVIDE_ROUND,
                     adl_hash_text(ADL_FNV_BASIS, d->images[i].id));
        cards[i] = (struct card){adl_rng_next(&rng), d->images[i].class_id, i};
    }
    qsort(cards, d->count, sizeof *cards, by_class_and_key);
    deal(cards, d->count, division, val);
    for (size_t i = 0; i < d->count; i++) {
        vals += val[i];
        if (val[i] == val_part)
            d->images[kept++] = d->images[i];
    }
    if (vals == 0 || vals == d->count) {
        adl_fail(err, ADL_ERR_ARG, "%s: has %zu images, too few for %s", place, d->count,
                 division->folds ? "so many folds" : "such a share of val");
    } else {
        d->count = kept;
        result = 0;
    }
out:
    adl_free(cards);
    adl_free(val);
    return result;
}
