/* Hide-and-Seek, HaS (Singh & Lee, "Hide-and-Seek: Forcing a Network to be Meticulous for
 * Weakly-supervised Object and Action Localization", ICCV 2017): every training image is cut into
 * a grid of square cells, and each cell is hidden with a probability, in another pattern for each
 * image and step. Where the most discriminative part is hidden, the network has to recognise the
 * class by other parts. The network and the loss are those of a plain classifier, and test images
 * are whole.
 *
 * A hidden cell is 0 after normalisation, which is the mean colour of the training set, so that the
 * statistics of the first layer hardly change.
 *
 * The reference implementation (wsolevaluation) has one fixed side of the cells; a cell is hidden
 * if a uniform number in [0, 1) is at most the rate. The authors' code draws the side for each
 * image, which --has-grid drawn does: none, 16, 32, 44 or 56 pixels. */

#include "methods/has.h"

#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "methods/method.h"

/* Tells the generator of this purpose from those of other purposes with the same key. */
#define HAS_STREAM 0x686964655341U

/* The options, in the order of the list below. */
enum { GRID, GRID_SIZE, DROP_RATE };

enum { GRID_FIXED, GRID_DRAWN };

static const int drawn_sizes[] = {0, 16, 32, 44, 56};

void adl_has_hide(float *image, int height, int width, int grid, double rate, adl_has_draw_fn *draw,
                  void *context)
{
    for (int top = 0; top < height; top += grid)
        for (int left = 0; left < width; left += grid) {
            if (draw(context) > rate)
                continue;
            size_t columns = (size_t)ADL_MIN(grid, width - left);
            for (int y = top; y < ADL_MIN(top + grid, height); y++)
                memset(image + ((size_t)y * (size_t)width + (size_t)left) * 3, 0,
                       columns * 3 * sizeof *image);
        }
}

static double next_uniform(void *context)
{
    return adl_rng_uniform(context);
}

static void hide(struct adl_method_batch *batch)
{
    size_t image = (size_t)batch->height * (size_t)batch->width * 3;

    for (size_t i = 0; i < batch->count; i++) {
        struct adl_rng rng;
        adl_rng_seed(&rng, batch->key, i, HAS_STREAM);
        int grid = batch->values[GRID].integer == GRID_DRAWN
                       ? drawn_sizes[adl_rng_below(&rng, ADL_COUNT(drawn_sizes))]
                       : batch->values[GRID_SIZE].integer;
        if (grid > 0)
            adl_has_hide(batch->input + i * image, batch->height, batch->width, grid,
                         batch->values[DROP_RATE].number, next_uniform, &rng);
    }
}

static const char *const grids[] = {"fixed", "drawn", NULL};

static const struct adl_method_option options[] = {
    {"has-grid", ADL_METHOD_CHOICE, .choices = grids, .metavar = "WHICH",
     .help = "side of the cells that Hide-and-Seek hides: --has-grid-size, or drawn for each image "
             "from 0 (none), 16, 32, 44 and 56 pixels as in the authors' code"},
    {"has-grid-size", ADL_METHOD_INTEGER, 4, 0, 100000, .metavar = "PX",
     .help = "side of the cells; 0: nothing is hidden"},
    {"has-drop-rate", ADL_METHOD_NUMBER, 0.5, 0, 1, .metavar = "P",
     .help = "probability that a cell is hidden"},
    {0},
};

const struct adl_method adl_method_has = {.name = "has", .hide = hide, .options = options};
