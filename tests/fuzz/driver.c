/* The main program of every fuzz target: it feeds the target the files of its
 * corpus and of past crashes, then mutations of them, which are the same for the
 * same seed. A target defines LLVMFuzzerTestOneInput, so it works with libFuzzer
 * and AFL++ as well; they are guided by coverage and find more, but this driver
 * needs nothing besides a compiler.
 *
 *     fuzz_NAME [--mutate COUNT] [--seconds N] [--seed N] FILE|DIRECTORY...
 *
 * An input that ends the process or takes too long is written to
 * crash-NAME-SEED. Moved to tests/fuzz/regressions/NAME/, it becomes a test. */

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Defined only if a sanitizer is linked in. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { MAX_INPUTS = 4096, MAX_STEPS = 8, SECONDS_PER_INPUT = 20 };
static const size_t max_growth_bytes = 4096;

struct input {
    uint8_t *bytes;
    size_t size;
    char *path;
};

static struct input inputs[MAX_INPUTS];
static size_t input_count;
static struct input running;
static char crash_path[256];

static void keep_running_input(void)
{
    FILE *file = fopen(crash_path, "wb");
    if (!file)
        return;
    fwrite(running.bytes, 1, running.size, file);
    fclose(file);
    fprintf(stderr, "while running %s; the input is in %s\n", running.path, crash_path);
}

static void on_alarm(int number)
{
    (void)number;
    fprintf(stderr, "an input took over %d seconds\n", SECONDS_PER_INPUT);
    keep_running_input();
    _exit(1);
}

static void die(const char *what, const char *path)
{
    fprintf(stderr, "%s: %s\n", what, path);
    exit(2);
}

static void add_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    struct input *input = &inputs[input_count];
    if (!file || input_count == MAX_INPUTS)
        die("cannot read, or too many files", path);
    *input = (struct input){malloc(size ? size : 1), size, strdup(path)};
    if (!input->bytes || !input->path || fread(input->bytes, 1, size, file) != size)
        die("cannot read", path);
    fclose(file);
    input_count++;
}

/* Adds a file, or all files below a directory. A directory that does not exist adds
 * nothing: a new target has no regressions/NAME yet. */
static void add(const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0)
        return;
    if (!S_ISDIR(info.st_mode)) {
        add_file(path, (size_t)info.st_size);
        return;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char child[4096];
        snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            add(child);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* Runs the target on a copy of exactly `size` bytes, so that the address sanitizer
 * sees a read past the end. */
static void run(const uint8_t *bytes, size_t size, char *path)
{
    running = (struct input){malloc(size ? size : 1), size, path};
    if (!running.bytes)
        die("out of memory", path);
    if (size)
        memcpy(running.bytes, bytes, size);
    alarm(SECONDS_PER_INPUT);
    LLVMFuzzerTestOneInput(running.bytes, size);
    alarm(0);
    free(running.bytes);
}

/* State of the random numbers, which are the same on every machine: xorshift64*
 * (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators,
 * scrambled", 2016). It must not be zero. */
static uint64_t state;

/* A random number from 0 to bound - 1; 0 where bound is 0. */
static size_t below(size_t bound)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return bound ? (size_t)((state * 2685821657736338717u) >> 16) % bound : 0;
}

/* Values at which arithmetic on lengths and counts overflows or changes sign. */
static const uint64_t edges[] = {0,          1,          0x7f,        0x80,
                                 0xff,       0x7fff,     0xffff,      0x7fffffff,
                                 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
                                 UINT64_MAX};

/* Changes `bytes` in one random way and returns their new size, at most `capacity`. */
static size_t mutate_once(uint8_t *bytes, size_t size, size_t capacity)
{
    size_t at = below(size);
    size_t span = size == 0 ? 16 : 1 + below(size - at < 64 ? size - at : 64);
    const struct input *other = &inputs[below(input_count)];

    if (size + span <= capacity && (size == 0 || below(8) == 0)) { /* insert */
        memmove(bytes + at + span, bytes + at, size - at);
        for (size_t i = 0; i < span; i++)
            bytes[at + i] = other->size ? other->bytes[below(other->size)] : (uint8_t)below(256);
        return size + span;
    }
    switch (below(8)) {
    case 0: bytes[at] ^= (uint8_t)(1 << below(8)); break;
    case 1: bytes[at] = (uint8_t)below(256); break;
    case 2: bytes[at] = (uint8_t)(bytes[at] + (below(2) ? 1 : 255)); break;
    case 3: { /* an edge value, in either byte order */
        uint64_t value = edges[below(sizeof edges / sizeof *edges)];
        size_t width = (size_t)1 << below(4);
        bool big = below(2);
        for (size_t i = 0; i < width && at + i < size; i++)
            bytes[at + i] = (uint8_t)(value >> 8 * (big ? width - 1 - i : i));
        break;
    }
    case 4: /* cut out */
        memmove(bytes + at, bytes + at + span, size - at - span);
        return size - span;
    case 5: /* cut off */ return at;
    case 6: { /* copy within */
        size_t to = below(size - span + 1);
        memmove(bytes + to, bytes + at, span);
        break;
    }
    case 7: /* from another input, at the same place */
        for (size_t i = at; i < at + span && i < other->size; i++)
            bytes[i] = other->bytes[i];
        break;
    }
    return size;
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    unsigned long mutations = 0, seconds = 0, seed = 1, done = 0;
    for (int i = 1; i < argc; i++) {
        unsigned long *number = !strcmp(argv[i], "--mutate")    ? &mutations
                                : !strcmp(argv[i], "--seconds") ? &seconds
                                : !strcmp(argv[i], "--seed")    ? &seed
                                                                : NULL;
        if (number && i + 1 < argc)
            *number = strtoul(argv[++i], NULL, 10);
        else
            add(argv[i]);
    }
    snprintf(crash_path, sizeof crash_path, "crash-%s-%lu", name, seed);
    signal(SIGALRM, on_alarm);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_running_input);

    size_t largest = 0;
    for (size_t i = 0; i < input_count; i++) {
        run(inputs[i].bytes, inputs[i].size, inputs[i].path);
        largest = inputs[i].size > largest ? inputs[i].size : largest;
    }
    run(NULL, 0, "nothing");

    size_t capacity = largest + max_growth_bytes;
    uint8_t *bytes = malloc(capacity);
    time_t start = time(NULL);
    state = 0x9e3779b97f4a7c15u * (seed + 1);
    for (; bytes && input_count && (done < mutations || (!mutations && seconds)); done++) {
        if (seconds && time(NULL) - start >= (time_t)seconds)
            break;
        const struct input *input = &inputs[below(input_count)];
        size_t size = input->size;
        memcpy(bytes, input->bytes, size);
        for (size_t steps = 1 + below(MAX_STEPS); steps; steps--)
            size = mutate_once(bytes, size, capacity);
        run(bytes, size, input->path);
    }
    free(bytes);
    printf("%s: %zu files, %lu mutations with seed %lu, all survived\n", name, input_count, done,
           seed);
    for (size_t i = 0; i < input_count; i++) {
        free(inputs[i].bytes);
        free(inputs[i].path);
    }
    return 0;
}
