#ifndef ADL_TRAIN_PARCEL_H
#define ADL_TRAIN_PARCEL_H

/* Numbers of which all ranks get the sums, as train/courier.h carries them. */

#include <stddef.h>

#include "kernels/bf16.h"

/* Arrays that are joined before a parcel goes up; and ranks are at most 2 to this power. */
#define ADL_PARCEL_ARRAYS 18

enum adl_parcel_kind {
    ADL_PARCEL_FLOATS,
    ADL_PARCEL_NARROW, /* floats that are rounded to bfloat16 at each join: train/narrow.h */
    ADL_PARCEL_DOUBLES
};

struct adl_parcel {
    enum adl_parcel_kind kind;
    const struct adl_bf16_kernels *kernels; /* of NARROW */
    size_t count;                           /* numbers of each array */
    /* Of this rank: the last is joined to the one before it, and so on to the first, which in the
     * end has the sum over all ranks; the others are lost. */
    void *arrays[ADL_PARCEL_ARRAYS];
    int array_count; /* at least 1 */
};

/* Return the bytes of the message, and where in the first array it lies, up and down. That of
 * NARROW has to be packed before, and unpacked after. */
size_t adl_parcel_bytes(const struct adl_parcel *parcel);
void *adl_parcel_message(const struct adl_parcel *parcel);

/* Each does `count` numbers from `first` on. */
void adl_parcel_join_own(const struct adl_parcel *parcel, size_t first, size_t count);
void adl_parcel_join_message(const struct adl_parcel *parcel, const void *message, size_t first,
                             size_t count);
/* Of NARROW: the pieces of one are packed from the last to the first, and unpacked from the first
 * to the last. */
void adl_parcel_pack(const struct adl_parcel *parcel, size_t first, size_t count);
void adl_parcel_unpack(const struct adl_parcel *parcel, size_t first, size_t count);

#endif
