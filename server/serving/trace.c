/* Reads and makes the ids of traces; see trace.h. */

#include "server/serving/trace.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char hex[] = "0123456789abcdef";

static bool is_hex(const char *text, size_t length)
{
    return strspn(text, hex) >= length;
}

static bool is_zero(const char *text, size_t length)
{
    return strspn(text, "0") >= length;
}

bool adl_trace_parse(const char *header, struct adl_trace *trace, bool *sampled)
{
    const size_t length = header ? strlen(header) : 0;

    *trace = (struct adl_trace){.trace_id = ""};
    *sampled = false;
    /* Version, 32 digits of the trace, 16 of the parent, 2 of flags, with a dash between them. */
    if (length < 55 || !is_hex(header, 2) || !strncmp(header, "ff", 2) || header[2] != '-' ||
        !is_hex(header + 3, 32) || is_zero(header + 3, 32) || header[35] != '-' ||
        !is_hex(header + 36, 16) || is_zero(header + 36, 16) || header[52] != '-' ||
        !is_hex(header + 53, 2))
        return false;
    if (length > 55 && (!strncmp(header, "00", 2) || header[55] != '-'))
        return false;
    snprintf(trace->trace_id, sizeof trace->trace_id, "%.32s", header + 3);
    snprintf(trace->parent_id, sizeof trace->parent_id, "%.16s", header + 36);
    *sampled = (strchr(hex, header[54]) - hex) & 1;
    return true;
}

/* Writes random bytes as hexadecimal digits: never all zero, which is no id. */
static void draw(char *text, size_t bytes)
{
    unsigned char bits[16];

    if (getrandom(bits, bytes, 0) < (ssize_t)bytes)
        memset(bits, 1, sizeof bits);
    if (bits[bytes - 1] == 0)
        bits[bytes - 1] = 1;
    for (size_t i = 0; i < bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bits[i]);
}

double adl_trace_begin(struct adl_trace *trace)
{
    unsigned long long tail = 0;

    *trace = (struct adl_trace){.trace_id = ""};
    draw(trace->trace_id, 16);
    /* The last seven bytes are those that have to be random (W3C Trace Context, level 2). */
    sscanf(trace->trace_id + 18, "%14llx", &tail);
    return (double)tail / (double)(1ULL << 56);
}

void adl_trace_add_span(struct adl_trace *trace)
{
    draw(trace->span_id, 8);
}
