#ifndef ADL_EVAL_MAP_FILES_H
#define ADL_EVAL_MAP_FILES_H

/* Reads and writes score maps on disk, as the reference evaluation code has them: DIR/ID.npy, where
 * ID is the id of the image (a path, extension included). */

#include "base/str.h"
#include "io/npy.h"

/* Writes rows x columns float64 to DIR/ID.npy and makes the directories that ID needs
 * below DIR, which has to exist. `path` is scratch and holds the path afterwards. Several
 * threads may write different ids at once. Fails with ADL_ERR_IO and ADL_ERR_NOMEM. */
int adl_map_write(const char *dir, const char *id, const double *map, size_t rows, size_t columns,
                  struct adl_str *path, struct adl_error *err) ADL_MUST_CHECK;

/* Reads DIR/ID.npy or, if that does not exist, the file without the id's extension. The caller
 * releases `npy`. `path` is scratch and holds the path afterwards. Fails as adl_npy_read() does,
 * and with ADL_ERR_NOMEM. */
int adl_map_read(const char *dir, const char *id, struct adl_npy *npy, struct adl_str *path,
                 struct adl_error *err) ADL_MUST_CHECK;

#endif
