/* Sums of the numbers of a parcel, by their kind; see train/parcel.h. */

#include "train/parcel.h"

#include "train/exchange.h"
#include "train/narrow.h"

size_t adl_parcel_bytes(const struct adl_parcel *parcel)
{
    switch (parcel->kind) {
    case ADL_PARCEL_NARROW: return parcel->count * sizeof(uint16_t);
    case ADL_PARCEL_DOUBLES: return parcel->count * sizeof(double);
    default: return parcel->count * sizeof(float);
    }
}

void *adl_parcel_message(const struct adl_parcel *parcel)
{
    return parcel->kind == ADL_PARCEL_NARROW ? adl_narrow_message(parcel->arrays[0], parcel->count)
                                             : parcel->arrays[0];
}

static void add_doubles(double *to, const double *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += from[i];
}

void adl_parcel_join_own(const struct adl_parcel *parcel, size_t first, size_t count)
{
    for (int a = parcel->array_count - 1; a > 0; a--) {
        void *to = parcel->arrays[a - 1];
        const void *from = parcel->arrays[a];
        switch (parcel->kind) {
        case ADL_PARCEL_FLOATS:
            adl_exchange_add((float *)to + first, (const float *)from + first, count, NULL);
            break;
        case ADL_PARCEL_NARROW:
            adl_narrow_join(parcel->kernels, (float *)to + first, (const float *)from + first,
                            count);
            break;
        case ADL_PARCEL_DOUBLES:
            add_doubles((double *)to + first, (const double *)from + first, count);
            break;
        }
    }
}

void adl_parcel_join_message(const struct adl_parcel *parcel, const void *message, size_t first,
                             size_t count)
{
    void *to = parcel->arrays[0];
    switch (parcel->kind) {
    case ADL_PARCEL_FLOATS:
        adl_exchange_add((float *)to + first, (const float *)message + first, count, NULL);
        break;
    case ADL_PARCEL_NARROW:
        adl_narrow_join_message(parcel->kernels, (float *)to + first,
                                (const uint16_t *)message + first, count);
        break;
    case ADL_PARCEL_DOUBLES:
        add_doubles((double *)to + first, (const double *)message + first, count);
        break;
    }
}

void adl_parcel_pack(const struct adl_parcel *parcel, size_t first, size_t count)
{
    adl_narrow_pack(parcel->kernels, parcel->arrays[0], parcel->count, first, first + count);
}

void adl_parcel_unpack(const struct adl_parcel *parcel, size_t first, size_t count)
{
    adl_narrow_unpack(parcel->kernels, parcel->arrays[0], parcel->count, first, first + count);
}
