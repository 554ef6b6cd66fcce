#ifndef ADL_TESTS_SUPPORT_WALL_CLOCK_H
#define ADL_TESTS_SUPPORT_WALL_CLOCK_H

/* Sets the time of day forward and back, for this process and the servers that it starts, as an
 * administrator or NTP does: CLOCK_REALTIME and time() jump, other clocks go on. The machine's
 * clock stays as it is. */

#include <stdint.h>

/* Begins with the machine's time. Servers that are started before do not follow. */
void test_wall_clock_open(void);
/* From now on the time of day is the machine's and so many seconds more. */
void test_wall_clock_shift(int64_t seconds);
void test_wall_clock_close(void);

#endif
