#ifndef ADL_PLAN_PASS_H
#define ADL_PLAN_PASS_H

/* Passes that can be left out, as bits. */
enum adl_pass {
    ADL_PASS_STRIP = 1 << 0, /* cannot be left out when there is something to strip */
    ADL_PASS_FOLD = 1 << 1,
    ADL_PASS_FUSE = 1 << 2,
    ADL_PASS_PAIR = 1 << 3,
    ADL_PASS_CONCAT = 1 << 4,
    ADL_PASS_PLACE = 1 << 5 /* left out: no two values share memory */
};

#endif
