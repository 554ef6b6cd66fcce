#ifndef ADL_PLAN_PASS_H
#define ADL_PLAN_PASS_H

/* The passes of a plan that can be left out, as bits, in the order in which they run. Tests
 * leave them out to show that none changes the result. plan.h describes the passes; the bits
 * have a header of their own so that the passes do not depend on plan.h. */
enum adl_pass {
    ADL_PASS_STRIP = 1 << 0, /* left out: the ops that do nothing run as copies */
    ADL_PASS_FOLD = 1 << 1,
    ADL_PASS_FUSE = 1 << 2,
    ADL_PASS_PAIR = 1 << 3,
    ADL_PASS_CONCAT = 1 << 4,
    ADL_PASS_PLACE = 1 << 5, /* left out: it still runs, but no two values share memory */
    /* A part of the choice of algorithms; left out: packed weights may be of any size, so that
     * results may differ in their last bits. */
    ADL_PASS_SHRINK = 1 << 6,
    ADL_PASS_CLASSES = 1 << 7 /* runs after STRIP */
};

#endif
