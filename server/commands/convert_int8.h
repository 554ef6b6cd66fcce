#ifndef ADL_SERVER_COMMANDS_CONVERT_INT8_H
#define ADL_SERVER_COMMANDS_CONVERT_INT8_H

#include <stdio.h>

#include "models/model.h"

struct adl_convert_int8 {
    const char *model_path; /* for messages */
    const char *dir;        /* photographs */
    const char *split;      /* with labels, to measure on; NULL: val or test, if there is one */
    size_t most_bytes;      /* of the file that will be written; 0: no limit */
    FILE *table;            /* receives the report */
};

/* Turns a model in float32 into one in 8 bits (server/tasks/int8_model.h) and prints how often both
 * models agree on the photographs that the ranges were chosen on; if the directory has labels, also
 * the accuracy of both (int8_accuracy.h), on images that the ranges were not chosen on where there
 * are enough others. Fails as adl_int8_photos_open(), adl_int8_round() and
 * adl_int8_accuracy_open(). */
int adl_convert_int8(struct adl_model *model, const struct adl_convert_int8 *how,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
