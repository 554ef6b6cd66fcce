/* Fuzz target: a Content-Type line and, after its newline, a body: the boundary
 * is read from the one and the other is split by it. Every span has to lie in
 * the body. Corpus: tests/fuzz/corpus/multipart. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "server/http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct adl_span span, const char *body, size_t length)
{
    if (span.data && (span.data < body || span.length > length ||
                      (size_t)(span.data - body) > length - span.length))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct adl_multipart form;
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    struct adl_error err = {0};
    struct adl_span boundary;

    if (!end)
        return 0;
    /* In copies of the exact size the sanitizer sees reads beyond the end. */
    size_t length = size - (size_t)(end - data) - 1;
    char *type = adl_strndup((const char *)data, (size_t)(end - data));
    char *body = adl_malloc(length, 1);
    if (!type || !body)
        abort();
    memcpy(body, end + 1, length);
    if (adl_multipart_boundary(type, &boundary, &err) == 0) {
        check(boundary, type, strlen(type));
        if (adl_multipart_parse(body, length, boundary, &form, &err) == 0) {
            if (form.count > ADL_LIMIT_MULTIPART_PARTS)
                abort();
            for (size_t i = 0; i < form.count; i++) {
                check(form.parts[i].name, body, length);
                check(form.parts[i].filename, body, length);
                check(form.parts[i].type, body, length);
                check(form.parts[i].body, body, length);
            }
        }
    }
    if ((err.kind != ADL_ERR_NONE) != (*err.message != '\0'))
        abort();
    adl_free(type);
    adl_free(body);
    return 0;
}
