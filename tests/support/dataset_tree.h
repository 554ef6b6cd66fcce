#ifndef ADL_TESTS_SUPPORT_DATASET_TREE_H
#define ADL_TESTS_SUPPORT_DATASET_TREE_H

/* Makes directory trees, and opens them as data sets. */

#include "data/dataset_open.h"

extern char tree_root[256]; /* the current tree */

/* Makes the directory of a tree, below the scratch directory, and makes it the current one. */
void tree_new(const char *name);

/* Write a file of the current tree, and make the directories above it. */
void tree_put_bytes(const char *path, const char *text, size_t length);
void tree_put(const char *path, const char *text);

/* Open a split of the current tree; tree_must_open() ends the running test if that fails. */
struct adl_dataset *tree_open(const char *split, struct adl_error *err);
struct adl_dataset *tree_must_open(const char *split);

/* Fails the running test if the split is opened, or refused for another reason. */
void tree_refused(const char *split, enum adl_error_kind kind, const char *part);

/* Fails the running test if image i is another one. */
void tree_check_image(const struct adl_dataset *d, size_t i, const char *id, int class_id);

/* Returns whether this is box number `box` of image i. */
bool tree_has_box(const struct adl_dataset *d, size_t i, size_t box, int x0, int y0, int x1,
                  int y1);

/* Fails the running test if not `count` files or directories were left out as `why`, or if the
 * first of them is another one. */
void tree_check_left_out(const struct adl_dataset *d, enum adl_left_out why, size_t count,
                         const char *first);

#endif
