/* io/torch: files that PyTorch wrote (see tests/golden/README.md), whose values follow a
 * formula. */

#include "support/test.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "io/torch.h"
#include "support/hostile.h"

/* Element i of the series t: a multiple of 1/4 for real types, whole for integers. */
static double series(size_t t, size_t i, bool real)
{
    double step = (double)((i + 7 * t) % 64);
    return real ? step * 0.25 - 4 : step - 32;
}

static const char *golden(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/torch/%s", test_golden_dir(), name);
    return path;
}

static struct adl_tensors *read_golden(const char *name, const char *key)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_weights_read(golden(name), key, &err);
    if (!set)
        TEST_FAIL("%s", err.message);
    return set;
}

static void expect_tensor(const struct adl_tensors *set, const char *name, enum adl_dtype dtype,
                          const char *shape, const double *want)
{
    char text[64];
    const struct adl_tensor *t = adl_tensors_find(set, name);
    if (!t || t->dtype != dtype || strcmp(adl_tensor_shape_text(t, text, sizeof text), shape)) {
        TEST_FAIL("%s: %s %s instead of %s %s", name, t ? adl_dtype_name(t->dtype) : "missing",
                  t ? text : "", adl_dtype_name(dtype), shape);
        return;
    }
    float *got = malloc(t->count * sizeof *got + 1);
    adl_tensor_to_f32(t, got);
    test_close(name, got, want, t->count, 0);
    free(got);
}

static void expect_series(const struct adl_tensors *set, const char *name, enum adl_dtype dtype,
                          const char *shape, size_t t, size_t count)
{
    double want[128];
    bool real = dtype == ADL_F32 || dtype == ADL_F64 || dtype == ADL_F16 || dtype == ADL_BF16;
    for (size_t i = 0; i < count; i++)
        want[i] = series(t, i, real);
    expect_tensor(set, name, dtype, shape, want);
}

/* The five tensors most of the files hold. */
static void expect_base(const struct adl_tensors *set)
{
    static const char *const order[] = {"conv.weight", "conv.bias", "bn.num_batches_tracked",
                                        "fc.weight", "empty"};
    CU_ASSERT_EQUAL(adl_tensors_count(set), 5);
    for (size_t i = 0; i < adl_tensors_count(set); i++)
        CU_ASSERT_STRING_EQUAL(adl_tensors_at(set, i)->name, order[i]);
    expect_series(set, "conv.weight", ADL_F32, "[4, 3, 3, 3]", 0, 108);
    expect_series(set, "conv.bias", ADL_F32, "[4]", 1, 4);
    expect_series(set, "bn.num_batches_tracked", ADL_I64, "[]", 2, 1);
    expect_series(set, "fc.weight", ADL_F32, "[5, 4]", 3, 20);
    expect_series(set, "empty", ADL_F32, "[0, 3]", 0, 0);
}

static void every_container_and_protocol(void)
{
    static const char *const names[] = {"zip.pth", "legacy.pth", "protocol4.pth",
                                        "legacy_protocol4.pth", "hostile_beside.pth"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct adl_tensors *set = read_golden(names[i], NULL);
        if (set)
            expect_base(set);
        adl_tensors_free(set);
    }
}

static void checkpoints_and_their_metadata(void)
{
    static const char *const names[] = {"checkpoint.pth.tar", "legacy_checkpoint.pth.tar"};
    for (size_t i = 0; i < 4; i++) {
        struct adl_tensors *set = read_golden(names[i % 2], i < 2 ? NULL : "state_dict");
        if (!set)
            continue;
        expect_base(set);
        CU_ASSERT_EQUAL(adl_tensors_meta_count(set), 4);
        CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "torch.epoch"), "3");
        CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "torch.architecture"), "mobilenet");
        CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "torch.lr"), "0.1");
        CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "torch.done"), "true");
        adl_tensors_free(set);
    }
}

/* Averages of the weights, as training scripts save them beside the weights: these are taken unless
 * the user names the average, whose names lose the wrapper's prefix. */
static void averages_are_taken_by_name(void)
{
    static const struct {
        const char *file, *key;
        size_t series;    /* of fc.weight; that of fc.bias is the next */
        bool counted;     /* with the number of averaged networks */
        const char *note; /* a part of it; NULL: none */
    } cases[] = {
        {"timm_ema.pth.tar", NULL, 0, false, "also --key \"state_dict_ema\""},
        {"timm_ema.pth.tar", "state_dict_ema", 2, false, NULL},
        {"torchvision_ema.pth", NULL, 4, false, "also --key \"model_ema\""},
        {"torchvision_ema.pth", "model_ema", 2, true, NULL},
        {"averaged.pth", NULL, 4, false, "also --key \"averaged_model\""},
        {"averaged.pth", "averaged_model", 2, true, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_tensors *set = read_golden(cases[i].file, cases[i].key);
        if (!set)
            continue;
        const char *note = adl_tensors_note(set);
        expect_series(set, "fc.weight", ADL_F32, "[5, 4]", cases[i].series, 20);
        expect_series(set, "fc.bias", ADL_F32, "[5]", cases[i].series + 1, 5);
        CU_ASSERT_EQUAL(adl_tensors_count(set), 2u + cases[i].counted);
        if (cases[i].counted)
            expect_tensor(set, "n_averaged", ADL_I64, "[]", &(double){2});
        if (!note != !cases[i].note || (note && !strstr(note, cases[i].note)))
            TEST_FAIL("%s: note %s", cases[i].file, note ? note : "none");
        adl_tensors_free(set);
    }
}

static void views_are_gathered(void)
{
    static const char *const names[] = {"views.pth", "legacy_views.pth"};
    double want[60];
    for (size_t f = 0; f < 2; f++) {
        struct adl_tensors *set = read_golden(names[f], NULL);
        if (!set)
            continue;
        for (size_t i = 0; i < 3; i++) /* [4, 3] transposed */
            for (size_t j = 0; j < 4; j++)
                want[i * 4 + j] = series(0, j * 3 + i, true);
        expect_tensor(set, "transposed", ADL_F32, "[3, 4]", want);
        for (size_t i = 0; i < 2; i++) /* rows 1, 3 and columns 2, 5, 8 of [6, 10] */
            for (size_t j = 0; j < 3; j++)
                want[i * 3 + j] = series(5, (1 + 2 * i) * 10 + 2 + 3 * j, true);
        expect_tensor(set, "slice", ADL_F32, "[2, 3]", want);
        for (size_t i = 0; i < 10; i++)
            want[i] = series(5, 50 + i, true);
        expect_tensor(set, "tail", ADL_F32, "[10]", want);
        for (size_t i = 0; i < 12; i++) /* three times the same column */
            want[i] = series(5, 3 + i / 3, true);
        expect_tensor(set, "expanded", ADL_F32, "[4, 3]", want);
        expect_series(set, "tied", ADL_F32, "[60]", 5, 60);
        for (size_t a = 0; a < 4; a++) /* [2, 3, 4] as (2, 0, 1) */
            for (size_t b = 0; b < 2; b++)
                for (size_t c = 0; c < 3; c++)
                    want[(a * 2 + b) * 3 + c] = series(1, (b * 3 + c) * 4 + a, true);
        expect_tensor(set, "permuted", ADL_F32, "[4, 2, 3]", want);
        adl_tensors_free(set);
    }
    struct adl_tensors *set = read_golden("channels_last.pth", NULL);
    if (set)
        expect_series(set, "conv.weight", ADL_F32, "[4, 3, 3, 3]", 0, 108);
    adl_tensors_free(set);
}

static void every_dtype(void)
{
    struct adl_tensors *set = read_golden("dtypes.pth", NULL);
    if (!set)
        return;
    expect_series(set, "f32", ADL_F32, "[3, 3]", 0, 9);
    expect_series(set, "f64", ADL_F64, "[3, 3]", 1, 9);
    expect_series(set, "f16", ADL_F16, "[3, 3]", 2, 9);
    expect_series(set, "bf16", ADL_BF16, "[3, 3]", 3, 9);
    expect_series(set, "i64", ADL_I64, "[3, 3]", 4, 9);
    expect_series(set, "i32", ADL_I32, "[3, 3]", 5, 9);
    expect_series(set, "i16", ADL_I16, "[3, 3]", 6, 9);
    expect_series(set, "i8", ADL_I8, "[3, 3]", 7, 9);
    expect_tensor(set, "u8", ADL_U8, "[4]", (double[]){0, 1, 200, 255});
    expect_tensor(set, "bool", ADL_BOOL, "[3]", (double[]){1, 0, 1});
    adl_tensors_free(set);
}

static void parameters_and_scalars_beside_them(void)
{
    struct adl_tensors *set = read_golden("parameters.pth", NULL);
    if (!set)
        return;
    expect_base(set);
    CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "torch.note"), "text");
    CU_ASSERT_STRING_EQUAL(adl_tensors_meta(set, "torch.scale"), "1.5");
    adl_tensors_free(set);
}

static void expect_refused(const char *path, const char *key, enum adl_error_kind kind,
                           const char *part)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_weights_read(path, key, &err);
    if (set)
        TEST_FAIL("%s was accepted", path);
    else if (err.kind != kind || !strstr(err.message, part) || !strstr(err.message, path))
        TEST_FAIL("refused as %s \"%s\", expected \"%s\"", test_error_kind(err.kind), err.message,
                  part);
    else
        CU_PASS("");
    adl_tensors_free(set);
}

static void anything_but_a_state_dict_is_refused(void)
{
    expect_refused(golden("hostile_inside.pth"), NULL, ADL_ERR_UNSUPPORTED,
                   "\"fc.weight\" of the state_dict is not a tensor but \"posix.system\"");
    expect_refused(golden("module.pth"), NULL, ADL_ERR_UNSUPPORTED,
                   "torch.nn.modules.linear.Linear");
    expect_refused(golden("script.pt"), NULL, ADL_ERR_UNSUPPORTED, "TorchScript");
    expect_refused(golden("complex.pth"), NULL, ADL_ERR_UNSUPPORTED, "\"c\"");
    expect_refused(golden("zip.pth"), "ema", ADL_ERR_NOT_FOUND, "\"conv.weight\"");
    expect_refused(golden("checkpoint.pth.tar"), "epoch", ADL_ERR_UNSUPPORTED, "\"epoch\"");
    expect_refused(golden("checkpoint.pth.tar"), "best", ADL_ERR_NOT_FOUND, "\"epoch\"");
    expect_refused(golden("checkpoint.pth.tar"), "optimizer", ADL_ERR_UNSUPPORTED, "\"state\"");
    expect_refused("/no/such/file", NULL, ADL_ERR_NOT_FOUND, "");
}

static void formats_are_recognized(void)
{
    struct adl_error err = {0};
    char path[4096], tar[512] = "sys", text[] = "hello, this is not a weight file";
    struct adl_file_piece piece = {tar, sizeof tar};
    snprintf(path, sizeof path, "%s/weights", test_tmp_dir());

    memcpy(tar + 257, "ustar", 5);
    TEST_OK(adl_file_write(path, &piece, 1, &err), &err);
    expect_refused(path, NULL, ADL_ERR_UNSUPPORTED, "torch >= 1.6");
    piece = (struct adl_file_piece){text, sizeof text};
    TEST_OK(adl_file_write(path, &piece, 1, &err), &err);
    expect_refused(path, NULL, ADL_ERR_FORMAT, "neither");
    piece.length = 0;
    TEST_OK(adl_file_write(path, &piece, 1, &err), &err);
    expect_refused(path, NULL, ADL_ERR_FORMAT, "neither");

    struct adl_tensors *set = read_golden("zip.pth", NULL), *back = NULL;
    if (set) {
        TEST_OK(adl_safetensors_write(path, set, &err), &err);
        back = adl_weights_read(path, NULL, &err);
    }
    if (back)
        expect_base(back);
    else
        TEST_FAIL("%s", err.message);
    adl_tensors_free(set);
    adl_tensors_free(back);
    CU_ASSERT(!adl_torch_sniff("PK\3", 3) && adl_torch_sniff("PK\3\4", 4));
    CU_ASSERT(adl_torch_sniff("\x80\2\x8a\n", 4) && !adl_torch_sniff("\x80\1..", 4));
}

static int read_torch(const void *bytes, size_t length, struct adl_error *err)
{
    struct adl_tensors *set = adl_torch_parse(bytes, length, NULL, err);
    adl_tensors_free(set);
    return set ? 0 : -1;
}

static void stands_hostile_bytes(void)
{
    static const char *const names[] = {"zip.pth", "legacy.pth", "legacy_views.pth"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct adl_error err = {0};
        size_t length;
        unsigned char *bytes = adl_file_read(golden(names[i]), 100000, &length, &err);
        if (!bytes) {
            TEST_FAIL("%s", err.message);
            continue;
        }
        hostile_truncate(read_torch, bytes, length);
        hostile_mutate(read_torch, bytes, length);
        hostile_starve(read_torch, bytes, length);
        adl_free(bytes);
    }
}

TEST_SUITE(torch, {"every container and protocol", every_container_and_protocol},
           {"checkpoints and their metadata", checkpoints_and_their_metadata},
           {"averages are taken by name", averages_are_taken_by_name},
           {"views are gathered", views_are_gathered}, {"every dtype", every_dtype},
           {"parameters, and scalars beside them", parameters_and_scalars_beside_them},
           {"anything but a state_dict is refused", anything_but_a_state_dict_is_refused},
           {"formats are recognized", formats_are_recognized},
           {"stands hostile bytes", stands_hostile_bytes});
