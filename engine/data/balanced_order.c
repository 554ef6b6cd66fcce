/* Keeps the indices of the images sorted by class, and where each class that has images begins. */

#include "data/balanced_order.h"

#include "base/mem.h"

struct adl_balanced_order {
    size_t *images; /* [count] indices in the data set, those of a class together */
    size_t *starts; /* [classes + 1] where a class begins in `images` */
    size_t classes; /* that have images */
};

struct adl_balanced_order *adl_balanced_order_create(const struct adl_dataset *dataset,
                                                     struct adl_error *err)
{
    struct adl_balanced_order *order = adl_calloc(1, sizeof *order);
    if (order) {
        order->images = adl_malloc(dataset->count, sizeof *order->images);
        order->starts = adl_calloc(dataset->class_count + 2, sizeof *order->starts);
    }
    if (!order || !order->images || !order->starts) {
        adl_balanced_order_free(order);
        adl_fail_nomem(err, "the order of the images");
        return NULL;
    }
    /* Counting sort: starts[k + 2] counts class k, then starts[k + 1] is where its next image goes,
     * which in the end is where class k + 1 begins. */
    size_t *starts = order->starts;
    for (size_t i = 0; i < dataset->count; i++)
        starts[dataset->images[i].class_id + 2]++;
    for (size_t k = 2; k <= dataset->class_count; k++)
        starts[k] += starts[k - 1];
    for (size_t i = 0; i < dataset->count; i++)
        order->images[starts[dataset->images[i].class_id + 1]++] = i;
    for (size_t k = 0; k < dataset->class_count; k++)
        if (starts[k + 1] > starts[order->classes])
            starts[++order->classes] = starts[k + 1];
    return order;
}

void adl_balanced_order_free(struct adl_balanced_order *order)
{
    if (!order)
        return;
    adl_free(order->images);
    adl_free(order->starts);
    adl_free(order);
}

void adl_balanced_order_draw(const struct adl_balanced_order *order, struct adl_rng *rng,
                             size_t *indices, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t *start = order->starts + adl_rng_below(rng, order->classes);
        indices[i] = order->images[start[0] + adl_rng_below(rng, start[1] - start[0])];
    }
}
