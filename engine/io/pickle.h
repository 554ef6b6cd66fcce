#ifndef ADL_IO_PICKLE_H
#define ADL_IO_PICKLE_H

/* Reads Python pickles as plain values, without executing anything: protocols 2 to 5, as far
 * as torch.save() uses them. */

#include "base/arena.h"
#include "base/error.h"
#include "io/pickle_value.h"

struct adl_pickle {
    const struct adl_pickle_value *root;
    struct adl_pickle_value **persids; /* every PERSID, in order of appearance */
    size_t persid_count;
    size_t length;           /* bytes of the pickle, including its last opcode */
    struct adl_arena values; /* owns all of it */
};

/* Reads one pickle from the start of `bytes`, which must outlive the result; what follows its
 * last opcode is not read. Fails with ADL_ERR_FORMAT when it is corrupt, with
 * ADL_ERR_UNSUPPORTED at an opcode that no state_dict needs, with ADL_ERR_LIMIT over the
 * limits, and with ADL_ERR_NOMEM. The struct has to be released in either case. Containers
 * may contain themselves, so code that walks the values must bound its depth. */
int adl_pickle_load(struct adl_pickle *pickle, const void *bytes, size_t length,
                    struct adl_error *err) ADL_MUST_CHECK;
void adl_pickle_release(struct adl_pickle *pickle);

#endif
