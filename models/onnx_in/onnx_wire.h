#ifndef ADL_MODELS_ONNX_IN_ONNX_WIRE_H
#define ADL_MODELS_ONNX_IN_ONNX_WIRE_H

/* Parts of an ONNX file at the level of protocol buffers, copied to an arena. */

#include "base/arena.h"
#include "io/protobuf_reader.h"

/* Copies a text of at most `limit` bytes, which has to be UTF-8. */
int adl_onnx_text(struct adl_arena *arena, const struct adl_protobuf_field *field, size_t limit,
                  const char **text, struct adl_error *err) ADL_MUST_CHECK;
/* Counts the fields of this number in a message; fails with ADL_ERR_LIMIT above `limit`. */
int adl_onnx_count(const struct adl_protobuf_field *message, unsigned number, size_t limit,
                   const char *what, size_t *count, struct adl_error *err) ADL_MUST_CHECK;
/* Fails with ADL_ERR_FORMAT if a field cannot hold a message. */
int adl_onnx_is_message(const struct adl_protobuf_field *field,
                        struct adl_error *err) ADL_MUST_CHECK;
/* Reads all numbers of a repeated field, packed or one by one. */
int adl_onnx_numbers(struct adl_arena *arena, const struct adl_protobuf_field *message,
                     unsigned number, enum adl_protobuf_wire wire, uint64_t **values, size_t *count,
                     struct adl_error *err) ADL_MUST_CHECK;

#endif
