/* Fuzz target: any bytes as an event file of an earlier process. */

#include <stdlib.h>

#include "io/event_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (adl_event_last_step(data, size) < -1)
        abort();
    return 0;
}
