/* See int8_vnni.h. */

#include "support/int8_vnni.h"

#if defined(__x86_64__)

#include "support/int8_dot.h"

#define ISA(name) defined_vnni_##name
#define MR 6
#define INT8_DOT(sum, a, b) int8_dot_defined(sum, a, b)

#include "kernels/avx2_int8_loops.h"

INT8_TABLE(int8_defined_vnni, 4, 1, 1);

#endif
