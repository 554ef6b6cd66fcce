/* See int8_vnni.h. */

#include "support/int8_vnni.h"

#if defined(__x86_64__)

#include "support/int8_dot.h"

#define ISA(name) defined_vnni512_##name
#define MR 12
#define INT8_DOT(sum, a, b) int8_dot_defined(sum, a, b)

#include "kernels/avx2_int8_loops.h"

INT8_TABLE(int8_defined_vnni512, 4, 1, 1);

#endif
