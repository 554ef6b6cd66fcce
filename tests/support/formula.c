/* Computes the random numbers of the golden data, and parameters, inputs and images from them. */

#include "support/formula.h"

#include <stdio.h>
#include <string.h>

uint64_t formula_fnv1a64(const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ p[i]) * 1099511628211u;
    return hash;
}

static uint64_t finalise(uint64_t seed)
{
    uint64_t z = seed + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double to_unit(uint64_t z)
{
    double k = (double)(z >> 40);
    return (2 * k + 1 - 16777216.0) / 16777216.0;
}

uint64_t formula_z(const char *name, uint64_t i)
{
    return finalise(formula_fnv1a64(name, strlen(name)) + i);
}

double formula_u(const char *name, uint64_t i)
{
    return to_unit(formula_z(name, i));
}

void formula_param(const char *name, double a, double b, size_t count, float *out)
{
    uint64_t hash = formula_fnv1a64(name, strlen(name));
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(a + b * to_unit(finalise(hash + i)));
}

/* Returns the hash of "name.suffix". */
static uint64_t hash_of(const char *name, const char *suffix)
{
    char full[256];
    int length = snprintf(full, sizeof full, "%s.%s", name, suffix);
    return formula_fnv1a64(full, (size_t)length);
}

/* Returns a wave across the image, -2^28 to 2^28, made of parabolas instead of a sine. */
static int64_t wave(uint64_t z, int x, int y, int w, int h)
{
    int64_t px = 65536 * (int64_t)(1 + (z & 3)) * x / w;
    int64_t py = 65536 * (int64_t)(1 + ((z >> 2) & 3)) * y / h;
    if ((z >> 4) & 1)
        py = 262144 - py;
    int64_t p = (px + py + (int64_t)(z >> 48)) % 65536;
    return p < 32768 ? p * (32768 - p) : -(p - 32768) * (65536 - p);
}

void formula_image(const char *name, int n, int c, int h, int w, float *nchw)
{
    uint64_t dc = hash_of(name, "dc"), waves = hash_of(name, "wave");
    uint64_t noise = hash_of(name, "noise"), i = 0;
    for (uint64_t p = 0; p < (uint64_t)n * (uint64_t)c; p++) {
        double level = 0.5 * to_unit(finalise(dc + p));
        uint64_t z[3];
        for (uint64_t j = 0; j < 3; j++)
            z[j] = finalise(waves + p * 3 + j);
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++, i++) {
                double sum = 2.0 * (double)wave(z[0], x, y, w, h) + (double)wave(z[1], x, y, w, h) +
                             (double)wave(z[2], x, y, w, h);
                nchw[i] = (float)(level + sum / 536870912.0 + 0.25 * to_unit(finalise(noise + i)));
            }
        }
    }
}

void formula_picture(const char *name, int h, int w, uint8_t *rgb)
{
    uint64_t waves = hash_of(name, "wave"), noise = hash_of(name, "noise");
    for (uint64_t c = 0; c < 3; c++) {
        uint64_t z0 = finalise(waves + c * 3), z1 = finalise(waves + c * 3 + 1);
        for (int y = 0; y < h; y++) {
            for (int x = 0; x < w; x++) {
                uint64_t pixel = (uint64_t)y * (uint64_t)w + (uint64_t)x;
                int64_t q = wave(z0, x, y, w, h) + wave(z1, x, y, w, h) + (1 << 29);
                uint64_t grain = finalise(noise + c * (uint64_t)h * (uint64_t)w + pixel) >> 60;
                rgb[pixel * 3 + c] = (uint8_t)(20 + ((q * 200) >> 30) + (int64_t)grain);
            }
        }
    }
}
