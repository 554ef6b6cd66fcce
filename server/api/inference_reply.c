/* Writes answers of the Open Inference Protocol; see inference_reply.h. Numbers of JSON have nine
 * digits, with which a float is the same after reading. */

#include "server/api/inference_reply.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/json_text.h"
#include "server/tasks/reply_json.h"

#define BOX_VALUES 6 /* image, x0, y0, x1, y1, score */

/* The longest number of nine digits, "-1.23456789e-38", and its comma; a buffer that grows is up to
 * twice as large, and is copied once more. */
#define TEXT_BYTES 16
#define COPIES 3
/* Of what stands around the data of a tensor. */
#define FRAME_BYTES 256
#define NS_PER_NUMBER 250

/* An answer while it is written. */
struct writer {
    const struct adl_inference_answer *answer;
    struct adl_str *json;
    struct adl_str tail; /* the binary data */
    float *scratch;      /* for one image: a map, or boxes */
    size_t total;        /* boxes of all images */
};

/* --- values ------------------------------------------------------------------------------ */

static const struct adl_prediction *first_of(const struct adl_job *job)
{
    return &job->predictions.items[0];
}

static void write_boxes(const struct adl_job *job, size_t image, float *out)
{
    const struct adl_localization *place = &first_of(job)->place;

    for (size_t i = 0; i < place->box_count; i++, out += BOX_VALUES) {
        const struct adl_box box = place->boxes[i].box;
        out[0] = (float)image;
        out[1] = (float)box.x0;
        out[2] = (float)box.y0;
        out[3] = (float)box.x1;
        out[4] = (float)box.y1;
        out[5] = (float)place->boxes[i].score;
    }
}

/* Returns the values of one image of an output of floats, and sets *count. */
static const float *values_of(const struct writer *w, enum adl_inference_output which, size_t image,
                              size_t *count)
{
    const struct adl_job *job = &w->answer->jobs[image];
    const struct adl_predictions *predictions = &job->predictions;
    const struct adl_predict_outputs *outputs = &predictions->outputs;

    switch (which) {
    case ADL_INFERENCE_LOGITS: *count = outputs->classes; return outputs->logits;
    case ADL_INFERENCE_SCORES: *count = outputs->classes; return outputs->scores;
    case ADL_INFERENCE_CAM:
        *count = (size_t)outputs->map_h * (size_t)outputs->map_w;
        return outputs->cam;
    case ADL_INFERENCE_MAP:
        *count = (size_t)predictions->cam_h * (size_t)predictions->cam_w;
        adl_reply_map(predictions, first_of(job), true, w->scratch);
        return w->scratch;
    default:
        *count = BOX_VALUES * first_of(job)->place.box_count;
        write_boxes(job, image, w->scratch);
        return w->scratch;
    }
}

static size_t scratch_values(const struct adl_inference_answer *answer)
{
    size_t most = 1;

    for (size_t i = 0; i < answer->request->images; i++) {
        const struct adl_predictions *p = &answer->jobs[i].predictions;
        most = ADL_MAX(most, (size_t)p->cam_h * (size_t)p->cam_w);
        most = ADL_MAX(most, BOX_VALUES * first_of(&answer->jobs[i])->place.box_count);
    }
    return most;
}

/* --- the data of a tensor ----------------------------------------------------------------- */

static int write_floats(struct writer *w, const float *values, size_t count, bool binary,
                        bool first, struct adl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return adl_fail(err, ADL_ERR_INTERNAL,
                            "a value of the answer is not finite: the weights of the model are "
                            "damaged or far too large; use another model file");
        if (binary) {
            uint32_t bits;
            memcpy(&bits, &values[i], sizeof bits);
            bits = htole32(bits);
            adl_str_append(&w->tail, (const char *)&bits, sizeof bits);
        } else {
            adl_str_printf(w->json, "%s%.9g", first && i == 0 ? "" : ",", (double)values[i]);
        }
    }
    return 0;
}

static void write_class(struct writer *w, const struct adl_job *job, bool binary, bool first)
{
    const int class_id = first_of(job)->class_id;
    const uint64_t bits = htole64((uint64_t)class_id);

    if (binary)
        adl_str_append(&w->tail, (const char *)&bits, sizeof bits);
    else
        adl_str_printf(w->json, "%s%d", first ? "" : ",", class_id);
}

/* Appends a text as a string of JSON. */
static int write_string(struct adl_str *out, json_t *string, struct adl_error *err)
{
    char *text = adl_json_to_text(string, JSON_ENCODE_ANY | JSON_COMPACT, NULL, err);

    json_decref(string);
    if (!text)
        return -1;
    adl_str_puts(out, text);
    adl_free(text);
    return 0;
}

static int write_label(struct writer *w, const struct adl_job *job, bool binary, bool first,
                       struct adl_error *err)
{
    char number[40];
    const char *label =
        adl_model_label(w->answer->model, first_of(job)->class_id, number, sizeof number);
    const uint32_t length = htole32((uint32_t)strlen(label));

    if (binary) {
        adl_str_append(&w->tail, (const char *)&length, sizeof length);
        adl_str_puts(&w->tail, label);
        return 0;
    }
    adl_str_puts(w->json, first ? "" : ",");
    return write_string(w->json, adl_json_from_text(label), err);
}

/* Writes the data of one image. *first: nothing of the tensor was written yet. */
static int write_image(struct writer *w, const struct adl_inference_wish *wish, size_t image,
                       bool *first, struct adl_error *err)
{
    const struct adl_job *job = &w->answer->jobs[image];
    const float *values;
    size_t count = 1;
    int result = 0;

    switch (adl_inference_outputs[wish->which].type) {
    case ADL_TENSOR_FP32:
        values = values_of(w, wish->which, image, &count);
        result = write_floats(w, values, count, wish->binary, *first, err);
        break;
    case ADL_TENSOR_INT64: write_class(w, job, wish->binary, *first); break;
    case ADL_TENSOR_BYTES: result = write_label(w, job, wish->binary, *first, err); break;
    }
    *first &= count == 0;
    return result;
}

/* --- tensors ---------------------------------------------------------------------------- */

static void write_shape(struct writer *w, enum adl_inference_output which)
{
    const struct adl_predictions *p = &w->answer->jobs[0].predictions;
    const size_t images = w->answer->request->images;

    switch (which) {
    case ADL_INFERENCE_LOGITS:
    case ADL_INFERENCE_SCORES:
        adl_str_printf(w->json, "%zu,%zu", images, p->outputs.classes);
        break;
    case ADL_INFERENCE_CAM:
        adl_str_printf(w->json, "%zu,%d,%d", images, p->outputs.map_h, p->outputs.map_w);
        break;
    case ADL_INFERENCE_MAP: adl_str_printf(w->json, "%zu,%d,%d", images, p->cam_h, p->cam_w); break;
    case ADL_INFERENCE_BOXES: adl_str_printf(w->json, "%zu,%d", w->total, BOX_VALUES); break;
    default: adl_str_printf(w->json, "%zu", images); break;
    }
}

static int write_tensor(struct writer *w, const struct adl_inference_wish *wish,
                        struct adl_error *err)
{
    const struct adl_inference_output_row *row = &adl_inference_outputs[wish->which];
    const size_t before = w->tail.length;
    bool first = true;

    adl_str_printf(w->json, "{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":[", row->name,
                   adl_tensor_type_names[row->type]);
    write_shape(w, wish->which);
    adl_str_puts(w->json, wish->binary ? "]" : "],\"data\":[");
    for (size_t i = 0; i < w->answer->request->images; i++)
        if (adl_pause(w->answer->pause, err) < 0 || write_image(w, wish, i, &first, err) < 0)
            return -1;
    if (wish->binary)
        adl_str_printf(w->json, ",\"parameters\":{\"binary_data_size\":%zu}}",
                       w->tail.length - before);
    else
        adl_str_puts(w->json, "]}");
    return 0;
}

static int write_id(struct writer *w, struct adl_error *err)
{
    const struct adl_inference_request *request = w->answer->request;

    if (!request->id)
        return 0;
    adl_str_puts(w->json, ",\"id\":");
    return write_string(w->json, json_stringn(request->id, request->id_length), err);
}

int adl_inference_answer_write(const struct adl_inference_answer *answer, struct adl_str *out,
                               size_t *json_length, bool *binary, struct adl_error *err)
{
    const struct adl_inference_request *request = answer->request;
    struct writer w = {.answer = answer, .json = out};
    int result = -1;

    *binary = false;
    w.scratch = adl_malloc(scratch_values(answer), sizeof *w.scratch);
    if (!w.scratch)
        return adl_fail_nomem(err, "the answer");
    for (size_t i = 0; i < request->images; i++)
        w.total += first_of(&answer->jobs[i])->place.box_count;
    /* Names and versions of models cannot contain a character that JSON would have to escape. */
    adl_str_printf(out, "{\"model_name\":\"%s\",\"model_version\":\"%s\"", answer->model_name,
                   answer->version);
    ADL_TRY(write_id(&w, err));
    adl_str_puts(out, ",\"outputs\":[");
    for (size_t i = 0; i < request->wish_count; i++) {
        adl_str_puts(out, i ? "," : "");
        *binary |= request->wishes[i].binary;
        ADL_TRY(write_tensor(&w, &request->wishes[i], err));
    }
    adl_str_puts(out, "]}\n");
    *json_length = out->length;
    if (w.tail.length > 0)
        adl_str_append(out, w.tail.data, w.tail.length);
    result = out->failed || w.tail.failed ? adl_fail_nomem(err, "the answer") : 0;
out:
    adl_str_release(&w.tail);
    adl_free(w.scratch);
    return result;
}

size_t adl_inference_answer_bytes(const struct adl_inference_request *request,
                                  const struct adl_model *model, size_t cells, size_t *text,
                                  double *ms)
{
    const size_t classes = (size_t)model->arch.num_classes;
    const size_t boxes = request->params.boxes == ADL_BOXES_LARGEST ? 1 : ADL_LIMIT_BOXES;
    size_t written = 0;

    *text = FRAME_BYTES;
    for (size_t i = 0; i < request->wish_count; i++) {
        size_t values = 1;
        switch (request->wishes[i].which) {
        case ADL_INFERENCE_LOGITS:
        case ADL_INFERENCE_SCORES: values = classes; break;
        case ADL_INFERENCE_CAM:
        case ADL_INFERENCE_MAP: values = cells; break;
        case ADL_INFERENCE_BOXES: values = BOX_VALUES * boxes; break;
        default: *text += ADL_LIMIT_CLASS_NAME_BYTES; break;
        }
        *text += FRAME_BYTES + values * (request->wishes[i].binary ? sizeof(float) : TEXT_BYTES);
        written += request->wishes[i].binary ? 0 : values;
    }
    *text *= COPIES;
    *ms = (double)written * NS_PER_NUMBER * 1e-6;
    return (2 * classes + 2 * cells) * sizeof(float) + boxes * sizeof(struct adl_localized_box);
}
