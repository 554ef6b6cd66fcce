/* Splits a validation part off: within each class, images are ordered by a hash of their name, and
 * every tenth one is taken. The split needs no random numbers and no list on disk, and it depends
 * only on the names. */

#include "data/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/name.h"

/* One image in ten is for validation: the fifth of each run of ten in the order of the hash, so
 * that a class of five images already has one. */
#define VAL_EVERY 10
#define VAL_OFFSET 4

struct hashed {
    uint64_t hash;
    size_t index; /* of the name */
};

static int by_hash(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

int adl_split_choose(const char *const *names, size_t count, enum adl_part part, bool *chosen,
                     struct adl_error *err)
{
    struct hashed *order = adl_malloc(count, sizeof *order);

    if (!order)
        return adl_fail_nomem(err, "the split");
    for (size_t i = 0; i < count; i++)
        order[i] = (struct hashed){adl_hash_text(ADL_FNV_BASIS, names[i]), i};
    qsort(order, count, sizeof *order, by_hash);
    for (size_t i = 0; i < count; i++)
        chosen[order[i].index] =
            part == ADL_PART_ALL || (i % VAL_EVERY == VAL_OFFSET) == (part == ADL_PART_VAL);
    adl_free(order);
    return 0;
}

int adl_split_find(struct adl_draft *draft, const char *what, const char *remedy,
                   enum adl_part *part, struct adl_error *err)
{
    const struct adl_dataset_options *o = draft->options;
    const char *split = adl_draft_split_name(o->split);
    struct adl_dataset *d = draft->dataset;

    d->drawn = true;
    *part = ADL_PART_ALL;
    if (!strcmp(split, "all"))
        return 0;
    *part = !strcmp(split, "train") ? ADL_PART_TRAIN : ADL_PART_VAL;
    if (!strcmp(split, "test")) {
        d->split = "val";
        d->note = adl_draft_text(draft, err,
                                 "%s has no test split: val is taken, every tenth image of a "
                                 "class; --split all takes every image",
                                 o->dir);
        return d->note ? 0 : -1;
    }
    if (*part == ADL_PART_VAL && strcmp(split, "val") != 0)
        return adl_fail(err, ADL_ERR_NOT_FOUND,
                        "%s: %s has the splits train, val (every tenth image) and all, not \"%s\"; "
                        "%s",
                        o->dir, what, ADL_SHORT(o->split), remedy);
    return 0;
}
