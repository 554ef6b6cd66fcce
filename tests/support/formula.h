#ifndef ADL_TESTS_SUPPORT_FORMULA_H
#define ADL_TESTS_SUPPORT_FORMULA_H

/* Computes golden data without data files: parameters, inputs and images are computed from their
 * names, with the same bits here as in the Python program that computed the expected values. Every
 * step is exact in double or in 64-bit integers, up to one rounding to float, so contraction to
 * FMA changes nothing. */

#include <stddef.h>
#include <stdint.h>

/* Returns the 64-bit FNV-1a hash. */
uint64_t formula_fnv1a64(const void *bytes, size_t length);

/* Returns number i of the stream called `name`: splitmix64's finaliser of the name's hash + i. */
uint64_t formula_z(const char *name, uint64_t i);

/* Returns number i of the stream as a number strictly between -1 and 1. */
double formula_u(const char *name, uint64_t i);

/* Sets out[i] = a + b * formula_u(name, i). For weights a is 0 and b is
 * (float)sqrt(6.0 / fan_in); see the `a` and `b` of the golden files, which
 * must be rounded to float before use. */
void formula_param(const char *name, double a, double b, size_t count, float *out);

/* Computes the network input "image NAME", N x C x H x W. */
void formula_image(const char *name, int n, int c, int h, int w, float *nchw);

/* Computes the image "picture NAME", H x W x RGB bytes. */
void formula_picture(const char *name, int h, int w, uint8_t *rgb);

#endif
