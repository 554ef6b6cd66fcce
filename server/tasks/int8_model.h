#ifndef ADL_SERVER_TASKS_INT8_MODEL_H
#define ADL_SERVER_TASKS_INT8_MODEL_H

/* Makes a model in 8 bits of one in float32, in memory, with the photographs of a directory. */

#include "models/model.h"
#include "server/tasks/image_list.h"
#include "server/tasks/progress.h"

/* The most photographs that are used. */
#define ADL_INT8_IMAGES 256
/* Fewer say too little about ranges to leave some out. */
#define ADL_INT8_FEW 32

/* The photographs that ranges are chosen on. A zeroed struct is empty. */
struct adl_int8_photos {
    struct adl_image_list list; /* all that were found */
    size_t count;               /* of these are used, spread evenly over the sorted names */
    size_t skipped;             /* of the used ones: those that could not be read */
    struct adl_error first_problem;
};

/* Lists the photographs of a directory, with those below it. Fails as adl_image_list_add(). */
int adl_int8_photos_open(struct adl_int8_photos *photos, const char *dir,
                         struct adl_error *err) ADL_MUST_CHECK;
/* Leaves out those that are in another list, on which adl_image_list_identify() was called, unless
 * less than ADL_INT8_FEW would remain; returns how many were left out. */
size_t adl_int8_photos_leave_out(struct adl_int8_photos *photos,
                                 const struct adl_image_list *other);
void adl_int8_photos_release(struct adl_int8_photos *photos);
/* Returns the path of a photograph that is used; index < count. */
const char *adl_int8_photos_path(const struct adl_int8_photos *photos, size_t index);

/* Is told how many of `total` steps are done; `stop`, which may be NULL, is asked before each
 * step whether to give up. */
struct adl_int8_watch {
    void (*progress)(void *context, size_t done, size_t total);
    bool (*stop)(void *context);
    void *context;
};

/* Runs the photographs through the network twice, chooses ranges and scales (eval/range_fit.h),
 * rounds the weights, and tries on some of the photographs which ranges keep the network's outputs
 * (range_choice.h): the model is in 8 bits then, and has another digest. If `most` is not 0,
 * weights keep fewer bits (eval/weight_bits.h), so that the model's file takes at most that many
 * bytes. Photographs that cannot be read are skipped and counted. One thread; the result does not
 * depend on anything but the model and the photographs. `watch` may be NULL. Fails with ADL_ERR_ARG
 * for a model that is in 8 bits, if no photograph can be read, with ADL_ERR_LIMIT if the file
 * cannot be that small, with ADL_ERR_CANCELLED, and as adl_range_fit_*() and adl_range_choice_*()
 * do; the model can only be freed then. */
int adl_int8_round(struct adl_model *model, struct adl_int8_photos *photos, size_t most,
                   const struct adl_int8_watch *watch, struct adl_error *err) ADL_MUST_CHECK;

/* Returns a watch that shows the progress on standard error; adl_progress_finish() ends it. */
struct adl_int8_watch adl_int8_watch_on(struct adl_progress *progress);

/* Fails with ADL_ERR_ARG if there is a directory for a choice other than int8. */
int adl_int8_check(int choice, const char *dir, struct adl_error *err) ADL_MUST_CHECK;

/* Chooses the precision of plans as adl_model_choose_precision() does, but makes a model in 8 bits
 * first, on the photographs of `dir`, if it is asked for and the model is float32. Without a
 * directory (NULL) it fails with ADL_ERR_ARG then. Metrics of the file, which are those of float32,
 * are dropped. */
int adl_int8_choose(struct adl_model *model, int choice, const char *path, const char *dir,
                    const struct adl_int8_watch *watch, struct adl_error *err) ADL_MUST_CHECK;
/* The same with the progress on standard error. */
int adl_int8_choose_shown(struct adl_model *model, int choice, const char *path, const char *dir,
                          struct adl_error *err) ADL_MUST_CHECK;

#endif
