/* The pictures that a run keeps belong to a val. If the run is resumed with another one, they are
 * forgotten with all that the epochs saw in them: boxes and maps of one picture would be drawn over
 * another. */

#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "io/file.h"
#include "server/report/report_parts.h"
#include "server/training/run_pictures.h"

bool adl_report_kept_fits(const char *index, const char *digest)
{
    struct adl_error unread = {0};
    size_t length;
    char *text = adl_file_read(index, ADL_LIMIT_METRICS_BYTES, &length, &unread);
    json_t *json = text ? json_loadb(text, length, 0, NULL) : NULL;
    const char *known = json_string_value(json_object_get(json, "digest"));
    bool fits = known && !strcmp(known, digest);

    json_decref(json);
    adl_free(text);
    return fits;
}

int adl_report_kept_forget(const char *dir, int epochs, struct adl_error *err)
{
    for (int epoch = 0; epoch <= epochs; epoch++) {
        char name[ADL_RUN_PICTURES_NAME] = ADL_RUN_PICTURES_INDEX;
        if (epoch > 0)
            adl_run_pictures_epoch(name, epoch);
        char *path = adl_run_path(dir, name, err);
        if (!path)
            return -1;
        unlink(path);
        adl_free(path);
    }
    return 0;
}
