/* Maps against true masks, see mask_meter.h.
 *
 * Each thread counts the pixels of an image in counts of its own, about two thousand numbers, and
 * adds these to those of the image's class under a lock. They are sums of integers, so the order
 * does not matter. Memory grows with the classes that have images and not with the images: 32 KB a
 * class at the usual step of 0.001. */

#include "eval/mask_meter.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "data/mask.h"
#include "wsol/pxap.h"

_Static_assert(ADL_MASK_BACKGROUND == ADL_PXAP_BACKGROUND &&
                   ADL_MASK_FOREGROUND == ADL_PXAP_FOREGROUND &&
                   ADL_MASK_IGNORED == ADL_PXAP_IGNORED,
               "masks are read as PxAP takes them");

struct counts {
    struct adl_pxap pxap;
    struct adl_mask_iou iou;
    struct adl_mask_cut cut; /* at the model's threshold */
    size_t images;           /* 0: nothing is allocated */
};

struct worker {
    struct counts counts; /* of one image */
    uint8_t *mask;
    double *zeros; /* the map of an image that cannot be read */
    size_t pixels; /* of `mask`, and of `zeros` if there are any */
    struct adl_str path;
};

struct adl_mask_meter {
    const struct adl_dataset *dataset;
    double interval;
    const struct adl_map_rule *rule; /* borrowed */
    struct worker *workers;
    int worker_count;
    pthread_mutex_t lock;   /* protects what follows */
    struct counts *classes; /* by class id */
    size_t class_count;
};

static int counts_init(struct counts *counts, double interval, struct adl_error *err)
{
    *counts = (struct counts){0};
    if (adl_pxap_init(&counts->pxap, interval, err) < 0)
        return -1;
    if (adl_mask_iou_init(&counts->iou, interval, err) == 0)
        return 0;
    adl_pxap_release(&counts->pxap);
    return -1;
}

static void counts_release(struct counts *counts)
{
    adl_pxap_release(&counts->pxap);
    adl_mask_iou_release(&counts->iou);
}

static void counts_clear(struct counts *counts)
{
    struct adl_pxap *pxap = &counts->pxap;

    memset(pxap->foreground, 0, pxap->bins * sizeof *pxap->foreground);
    memset(pxap->background, 0, pxap->bins * sizeof *pxap->background);
    adl_mask_iou_clear(&counts->iou);
    counts->cut = (struct adl_mask_cut){0};
    counts->images = 0;
}

static int counts_merge(struct counts *into, const struct counts *from, struct adl_error *err)
{
    if (adl_pxap_merge(&into->pxap, &from->pxap, err) < 0)
        return -1;
    adl_mask_iou_merge(&into->iou, &from->iou);
    adl_mask_cut_add(&into->cut, &from->cut);
    into->images += from->images;
    return 0;
}

struct adl_mask_meter *adl_mask_meter_create(const struct adl_dataset *dataset, double interval,
                                             const struct adl_map_rule *rule, int workers,
                                             struct adl_error *err)
{
    struct adl_mask_meter *meter = adl_calloc(1, sizeof *meter);

    if (!meter) {
        adl_fail_nomem(err, "the masks");
        return NULL;
    }
    pthread_mutex_init(&meter->lock, NULL);
    meter->dataset = dataset;
    meter->interval = interval;
    meter->rule = rule;
    meter->class_count = dataset->class_count;
    meter->workers = adl_calloc((size_t)workers, sizeof *meter->workers);
    meter->classes = adl_calloc(meter->class_count, sizeof *meter->classes);
    if (!meter->workers || !meter->classes)
        adl_fail_nomem(err, "the masks");
    for (int i = 0; meter->workers && !err->kind && i < workers; i++)
        if (counts_init(&meter->workers[i].counts, interval, err) == 0)
            meter->worker_count++;
    if (!err->kind)
        return meter;
    adl_mask_meter_free(meter);
    return NULL;
}

void adl_mask_meter_free(struct adl_mask_meter *meter)
{
    if (!meter)
        return;
    for (int i = 0; i < meter->worker_count; i++) {
        counts_release(&meter->workers[i].counts);
        adl_free(meter->workers[i].mask);
        adl_free(meter->workers[i].zeros);
        adl_str_release(&meter->workers[i].path);
    }
    for (size_t i = 0; meter->classes && i < meter->class_count; i++)
        counts_release(&meter->classes[i]);
    adl_free(meter->workers);
    adl_free(meter->classes);
    pthread_mutex_destroy(&meter->lock);
    adl_free(meter);
}

/* Makes room for a mask, and for a map of zeros if there is no map. */
static int reserve(struct worker *worker, size_t pixels, bool zeros, struct adl_error *err)
{
    if (pixels > worker->pixels) {
        adl_free(worker->mask);
        adl_free(worker->zeros);
        worker->zeros = NULL;
        worker->pixels = 0;
        worker->mask = adl_malloc(pixels, sizeof *worker->mask);
        if (!worker->mask)
            return adl_fail_nomem(err, "a mask");
        worker->pixels = pixels;
    }
    if (zeros && !worker->zeros) {
        worker->zeros = adl_calloc(worker->pixels, sizeof *worker->zeros);
        if (!worker->zeros)
            return adl_fail_nomem(err, "a map");
    }
    return 0;
}

/* Adds the counts of one image to those of its class. */
static int add_to_class(struct adl_mask_meter *meter, int class_id, const struct counts *counts,
                        struct adl_error *err)
{
    struct counts *class = &meter->classes[class_id];
    int result = 0;

    pthread_mutex_lock(&meter->lock);
    if (class->images == 0)
        result = counts_init(class, meter->interval, err);
    if (result == 0)
        result = counts_merge(class, counts, err);
    pthread_mutex_unlock(&meter->lock);
    return result;
}

int adl_mask_meter_add(struct adl_mask_meter *meter, int worker, size_t index, int image_width,
                       int image_height, const double *map, int height, int width, double *iou,
                       struct adl_error *err)
{
    struct worker *w = &meter->workers[worker];
    size_t pixels;

    if (adl_size_mul((size_t)height, (size_t)width, &pixels) < 0)
        return adl_fail_nomem(err, "a mask");
    if (reserve(w, pixels, !map, err) < 0 ||
        adl_dataset_mask_read(meter->dataset, index, image_width, image_height, height, width,
                              w->mask, &w->path, err) < 0)
        return -1;
    if (!map)
        map = w->zeros;
    size_t class_id = (size_t)meter->dataset->images[index].class_id;
    double threshold = adl_map_rule_of_class(meter->rule, class_id).threshold;
    counts_clear(&w->counts);
    w->counts.images = 1;
    if (adl_pxap_add(&w->counts.pxap, map, w->mask, pixels, err) < 0 ||
        adl_mask_iou_add(&w->counts.iou, map, w->mask, pixels, threshold, &w->counts.cut, err) < 0)
        return -1;
    *iou = adl_mask_cut_foreground(&w->counts.cut);
    return add_to_class(meter, meter->dataset->images[index].class_id, &w->counts, err);
}

/* --- figures -------------------------------------------------------------------------- */

/* Returns PxAP in percent, NaN without a foreground pixel. */
static double pxap_of(const struct adl_pxap *pxap)
{
    struct adl_error none = {0};
    double percent;

    return adl_pxap_result(pxap, &percent, &none) < 0 ? (double)NAN : percent;
}

/* The IoU of the classes and of the background at one threshold. */
struct sums {
    struct adl_mask_cut all;
    double foregrounds; /* sum over the classes that have one */
    size_t classes;
};

static void sums_add(struct sums *sums, const struct adl_mask_cut *cut)
{
    double iou = adl_mask_cut_foreground(cut);

    adl_mask_cut_add(&sums->all, cut);
    if (isnan(iou))
        return;
    sums->foregrounds += iou;
    sums->classes++;
}

/* Returns the mean IoU in percent. */
static double sums_mean(const struct sums *sums)
{
    double background = adl_mask_cut_background(&sums->all);

    if (isnan(background))
        return 100 * sums->foregrounds / (double)sums->classes;
    return 100 * (sums->foregrounds + background) / (double)(sums->classes + 1);
}

static void fill_classes(const struct adl_mask_meter *meter, struct adl_mask_figures *figures)
{
    struct sums sums = {0};

    for (size_t i = 0; i < meter->class_count; i++) {
        const struct counts *c = &meter->classes[i];
        figures->classes[i] = (struct adl_mask_class){
            .images = c->images, .pxap = NAN, .foreground = NAN, .background = NAN};
        if (c->images == 0)
            continue;
        figures->classes[i].pxap = pxap_of(&c->pxap);
        figures->classes[i].foreground = 100 * adl_mask_cut_foreground(&c->cut);
        figures->classes[i].background = 100 * adl_mask_cut_background(&c->cut);
        sums_add(&sums, &c->cut);
    }
    figures->miou = sums_mean(&sums);
    figures->foreground = 100 * adl_mask_cut_foreground(&sums.all);
    figures->background = 100 * adl_mask_cut_background(&sums.all);
}

/* Finds the best thresholds; of equal ones, the lowest. `sums` and `cuts` have an element for each
 * threshold. */
static void fill_best(const struct adl_mask_meter *meter, size_t steps, struct sums *sums,
                      struct adl_mask_cut *cuts, struct adl_mask_figures *figures)
{
    for (size_t i = 0; i < meter->class_count; i++) {
        if (meter->classes[i].images == 0)
            continue;
        adl_mask_iou_cuts(&meter->classes[i].iou, cuts);
        for (size_t t = 0; t < steps; t++)
            sums_add(&sums[t], &cuts[t]);
    }
    figures->best_miou = figures->peak_iou = NAN;
    for (size_t t = 0; t < steps; t++) {
        double mean = sums_mean(&sums[t]), peak = 100 * adl_mask_cut_foreground(&sums[t].all);
        if (isnan(figures->best_miou) || mean > figures->best_miou) {
            figures->best_miou = mean;
            figures->best_threshold = (double)t * meter->interval;
        }
        if (isnan(figures->peak_iou) || peak > figures->peak_iou) {
            figures->peak_iou = peak;
            figures->peak_threshold = (double)t * meter->interval;
        }
    }
}

/* Computes PxAP over the pixels of all classes. */
static int fill_pxap(const struct adl_mask_meter *meter, struct adl_mask_figures *figures,
                     struct adl_error *err)
{
    struct adl_pxap all;
    int result = -1;

    if (adl_pxap_init(&all, meter->interval, err) < 0)
        return -1;
    for (size_t i = 0; i < meter->class_count; i++)
        if (meter->classes[i].images > 0)
            ADL_TRY(adl_pxap_merge(&all, &meter->classes[i].pxap, err));
    figures->pxap = pxap_of(&all);
    result = 0;
out:
    adl_pxap_release(&all);
    return result;
}

int adl_mask_meter_figures(const struct adl_mask_meter *meter, struct adl_mask_figures *figures,
                           struct adl_error *err)
{
    size_t steps = meter->workers[0].counts.iou.steps;
    struct sums *sums = adl_calloc(steps, sizeof *sums);
    struct adl_mask_cut *cuts = adl_malloc(steps, sizeof *cuts);
    int result = -1;

    *figures = (struct adl_mask_figures){.class_count = meter->class_count, .image_iou = NAN};
    figures->classes = adl_malloc(meter->class_count, sizeof *figures->classes);
    if (!sums || !cuts || !figures->classes) {
        adl_fail_nomem(err, "the figures of the masks");
        goto out;
    }
    fill_classes(meter, figures);
    fill_best(meter, steps, sums, cuts, figures);
    result = fill_pxap(meter, figures, err);
out:
    adl_free(sums);
    adl_free(cuts);
    if (result < 0)
        adl_mask_figures_release(figures);
    return result;
}

void adl_mask_figures_release(struct adl_mask_figures *figures)
{
    adl_free(figures->classes);
    *figures = (struct adl_mask_figures){0};
}
