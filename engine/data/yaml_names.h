#ifndef ADL_DATA_YAML_NAMES_H
#define ADL_DATA_YAML_NAMES_H

/* Reads the names of classes from the data.yaml of YOLO. Private to engine/data/. */

#include "data/folder_list.h"

/* Adds the texts of `names` in the map of a YAML file, a list of them or a map from 0 to the number
 * of classes minus one, in any order; none if the file has no `names` or they are null. The texts
 * are as they stand, whatever YAML's types are (`no` is "no"). Fails with ADL_ERR_FORMAT if the
 * file is no YAML up to their end or they are anything else, with ADL_ERR_IO, ADL_ERR_LIMIT and
 * ADL_ERR_NOMEM. */
int adl_yaml_names(struct adl_draft *draft, const char *path, struct adl_names *names,
                   struct adl_error *err) ADL_MUST_CHECK;

#endif
