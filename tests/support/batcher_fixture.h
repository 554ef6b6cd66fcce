#ifndef ADL_TESTS_SUPPORT_BATCHER_FIXTURE_H
#define ADL_TESTS_SUPPORT_BATCHER_FIXTURE_H

/* A batcher with one small model in this process, for one test at a time, and jobs for it. */

#include <stdatomic.h>

#include "server/serving/batcher.h"

struct test_batcher {
    struct adl_batcher *batcher;
    struct adl_served *served; /* its model */
    struct adl_registry *registry;
    struct adl_metrics metrics;
    _Atomic int finished; /* jobs */
    _Atomic bool held;    /* held jobs go on when it is false */
    double most_wait_ms;  /* of the next batcher; 0: no adaptive limit */
};
extern struct test_batcher test_batcher;

/* Opens the batcher, of a model file or of test_small_model(), with two workers a lane and 64 MiB;
 * false after a failure. */
bool test_batcher_open_of(const char *model, size_t capacity);
bool test_batcher_open(size_t capacity);
void test_batcher_close(void);

/* A job for an image file, which is borrowed; it is counted when it is finished. */
struct adl_job test_job(const void *bytes, size_t length);

/* A job that stays with its worker until `held` is false, and fails then. */
struct adl_job test_held_job(bool background);

/* Waits until nothing is left to do, and requires so many finished jobs. */
void test_batcher_wait(int count);

#endif
