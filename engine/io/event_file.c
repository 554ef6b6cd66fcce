/* Event files of TensorBoard.
 *
 * A file is a sequence of records in the framing of TFRecord, numbers little-endian:
 *
 *     uint64 length, uint32 masked CRC of these 8 bytes, `length` bytes, uint32 masked CRC of them
 *
 * The CRC is CRC-32C, masked as ((crc >> 15) | (crc << 17)) + 0xa282ead8 mod 2^32, because the CRC
 * of bytes that contain their own CRC says little.
 *
 * The bytes are a protocol buffer, tensorflow.Event. These of its fields are used:
 *
 *     Event { double wall_time = 1; int64 step = 2; string file_version = 3;
 *             Summary summary = 5; SessionLog session_log = 7; }
 *     Summary { repeated Value value = 1; }    Value { string tag = 1; float simple_value = 2; }
 *     SessionLog { enum status = 1; }          START is 1 */

#include "io/event_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "io/protobuf.h"
#include "io/protobuf_reader.h"

enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_LOG = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, LOG_STATUS = 1, STATUS_START = 1 };

#define HEADER_BYTES 12 /* of a record, before its content */
#define CRC_BYTES 4

/* --- writing ------------------------------------------------------------------------ */

static uint32_t masked_crc(const void *bytes, size_t length)
{
    uint32_t crc = adl_crc32c(bytes, length);
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

static void put_number(char *bytes, uint64_t value, int count)
{
    for (int i = 0; i < count; i++)
        bytes[i] = (char)(value >> (8 * i) & 0xff);
}

/* Appends an event as a record, and releases it. */
static void put_record(struct adl_str *records, struct adl_protobuf *event)
{
    char header[HEADER_BYTES], crc[CRC_BYTES];
    size_t length = event->bytes.length;

    put_number(header, length, 8);
    put_number(header + 8, masked_crc(header, 8), CRC_BYTES);
    put_number(crc, masked_crc(event->bytes.data, length), CRC_BYTES);
    records->failed |= event->bytes.failed;
    adl_str_append(records, header, sizeof header);
    adl_str_append(records, event->bytes.data, length);
    adl_str_append(records, crc, sizeof crc);
    adl_protobuf_release(event);
}

void adl_event_put_version(struct adl_str *records, double wall_time)
{
    struct adl_protobuf event = {0};
    adl_protobuf_double(&event, EVENT_WALL_TIME, wall_time);
    adl_protobuf_text(&event, EVENT_VERSION, "brain.Event:2");
    put_record(records, &event);
}

void adl_event_put_start(struct adl_str *records, double wall_time, int64_t step)
{
    struct adl_protobuf event = {0}, log = {0};
    adl_protobuf_double(&event, EVENT_WALL_TIME, wall_time);
    adl_protobuf_int(&event, EVENT_STEP, step);
    adl_protobuf_int(&log, LOG_STATUS, STATUS_START);
    adl_protobuf_message(&event, EVENT_LOG, &log);
    put_record(records, &event);
}

void adl_event_put_scalars(struct adl_str *records, double wall_time, int64_t step,
                           const struct adl_event_scalar *scalars, size_t count)
{
    struct adl_protobuf event = {0}, summary = {0};
    adl_protobuf_double(&event, EVENT_WALL_TIME, wall_time);
    adl_protobuf_int(&event, EVENT_STEP, step);
    for (size_t i = 0; i < count; i++) {
        struct adl_protobuf value = {0};
        adl_protobuf_text(&value, VALUE_TAG, scalars[i].tag);
        adl_protobuf_float(&value, VALUE_SIMPLE, scalars[i].value);
        adl_protobuf_message(&summary, SUMMARY_VALUE, &value);
    }
    adl_protobuf_message(&event, EVENT_SUMMARY, &summary);
    put_record(records, &event);
}

int adl_event_append(const char *path, const struct adl_str *records, struct adl_error *err)
{
    size_t written = 0;

    if (records->failed)
        return adl_fail(err, ADL_ERR_NOMEM, "%s: out of memory for its contents", path);
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(errno));
    while (written < records->length) {
        ssize_t count = write(file, records->data + written, records->length - written);
        if (count < 0 && errno != EINTR)
            break;
        written += count > 0 ? (size_t)count : 0;
    }
    int problem = written < records->length || fsync(file) < 0 ? errno : 0;
    if (close(file) < 0 && !problem)
        problem = errno;
    return problem ? adl_fail(err, ADL_ERR_IO, "%s: %s", path, strerror(problem)) : 0;
}

/* --- reading ------------------------------------------------------------------------- */

/* Bytes that have not been read yet. */
struct cursor {
    const uint8_t *next;
    size_t left;
};

static uint64_t get_number(const uint8_t *bytes, int count)
{
    uint64_t value = 0;
    for (int i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static bool skip(struct cursor *c, uint64_t count)
{
    if (count > c->left)
        return false;
    c->next += count;
    c->left -= (size_t)count;
    return true;
}

/* Takes the next record if it is whole. */
static bool next_record(struct cursor *file, struct cursor *event)
{
    if (file->left < HEADER_BYTES ||
        get_number(file->next + 8, CRC_BYTES) != masked_crc(file->next, 8))
        return false;
    uint64_t length = get_number(file->next, 8);
    const uint8_t *bytes = file->next + HEADER_BYTES;
    if (!skip(file, HEADER_BYTES) || !skip(file, length) || file->left < CRC_BYTES ||
        get_number(file->next, CRC_BYTES) != masked_crc(bytes, (size_t)length))
        return false;
    *event = (struct cursor){bytes, (size_t)length};
    return skip(file, CRC_BYTES);
}

/* Returns the step of an event that has figures; -1 for other events, and what is none. */
static int64_t step_of(struct cursor event)
{
    struct adl_protobuf_reader reader = adl_protobuf_open(event.next, event.left);
    struct adl_protobuf_field field;
    struct adl_error err = {0};
    uint64_t step = 0;
    bool figures = false;
    int more;

    while ((more = adl_protobuf_next(&reader, &field, &err)) > 0) {
        if (field.number == EVENT_STEP && field.wire == ADL_WIRE_VARINT)
            step = field.value;
        figures |= field.number == EVENT_SUMMARY && field.wire == ADL_WIRE_LENGTH;
    }
    return more == 0 && figures && step <= INT64_MAX ? (int64_t)step : -1;
}

int64_t adl_event_last_step(const void *bytes, size_t length)
{
    struct cursor file = {bytes, length}, event;
    int64_t last = -1;

    while (next_record(&file, &event)) {
        int64_t step = step_of(event);
        last = step > last ? step : last;
    }
    return last;
}
