#ifndef ADL_EVAL_EVALUATE_PARTS_H
#define ADL_EVAL_EVALUATE_PARTS_H

/* An evaluation that several processes ("ranks", train/exchange.h) share: each measures its part of
 * the images (struct adl_evaluate_options, part and parts), and rank 0 gets the report that one
 * process would have, to the last bit. Groups of images are as in one process, counts are added up,
 * what is a sum of fractions is added anew in the order of the images, and the boxes of detections,
 * whose order does not matter, are collected. */

#include "eval/evaluate.h"
#include "train/exchange.h"

/* Returns whether an evaluation can be divided: images have one label each and no masks, and there
 * is no `visit`. */
bool adl_evaluate_divides(const struct adl_dataset *dataset,
                          const struct adl_evaluate_options *options);

/* Joins the parts. To be called by all ranks, also by one whose part failed: `result` is what its
 * evaluation returned, with `err` set if it is -1. If a part failed or was stopped, all ranks fail:
 * with their own error, with ADL_ERR_CANCELLED if the only reason is that a rank was stopped, and
 * otherwise with ADL_ERR_IO. On rank 0, *report and the options' places, which have to be given,
 * become those of all images; rank 0 alone fails with ADL_ERR_FORMAT if none of them could be read.
 * On other ranks they stay those of the part. The report is released on failure. */
int adl_evaluate_join(const struct adl_exchange *exchange, const struct adl_dataset *dataset,
                      const struct adl_evaluate_options *options, int result,
                      struct adl_evaluate_report *report, struct adl_error *err) ADL_MUST_CHECK;

#endif
