/* io/torch: which dict of a checkpoint is the state_dict. The pickles are assembled here;
 * what PyTorch users expect of each is written beside it. */

#include "support/test.h"

#include <stdint.h>
#include <string.h>

#include "io/torch.h"
#include "support/byte_stream.h"

static void put_text(struct stream *s, const char *text, size_t length)
{
    unsigned char size[5] = {'X', (unsigned char)length, 0, 0, 0};
    put(s, size, sizeof size);
    put(s, text, length);
}

/* A tensor of one float, element `at` of the only storage. */
static void put_tensor(struct stream *s, unsigned char at)
{
    PUT(s, "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\n"
           "X\1\0\0\0kX\3\0\0\0cpuK@NtQK");
    put(s, &at, 1);
    PUT(s, "K\1\x85K\1\x85\x89NtR");
}

/* Objects in short: {a:{w:1,b:2},n:#} with a digit for the tensor that views that element of
 * the storage, # for the number 3, [...] for a list. Returns what follows. */
static const char *put_object(struct stream *s, const char *text)
{
    bool dict = *text == '{';
    if (*text == '#') {
        PUT(s, "K\3");
        return text + 1;
    }
    if (*text != '{' && *text != '[') {
        put_tensor(s, (unsigned char)(*text - '0'));
        return text + 1;
    }
    put(s, dict ? "}(" : "](", 2);
    for (text++; *text != '}' && *text != ']'; text += *text == ',') {
        if (dict) {
            size_t length = strcspn(text, ":");
            put_text(s, text, length);
            text += length + 1;
        }
        text = put_object(s, text);
    }
    put(s, dict ? "u" : "e", 1);
    return text + 1;
}

static struct adl_tensors *read_object(const char *text, const char *key, struct adl_error *err)
{
    static struct stream s;
    int64_t count = 64;
    s.length = 0;
    PUT(&s, "\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.");
    PUT(&s, "\x80\2}X\15\0\0\0little_endian\x88s.\x80\2");
    put_object(&s, text);
    PUT(&s, ".\x80\2]X\1\0\0\0ka.");
    put(&s, &count, sizeof count);
    for (int i = 0; i < count; i++)
        put(&s, &(float){(float)i}, sizeof(float));
    return adl_torch_parse(s.bytes, s.length, key, err);
}

static void the_state_dict_is_found(void)
{
    static const struct {
        const char *object, *key;
        const char *names; /* of the tensors, in order */
        const char *note;  /* a part of it; NULL: none */
    } cases[] = {
        {"{w:1,b:2}", NULL, "w b", NULL},
        {"{state_dict:{w:1,b:2},epoch:#}", NULL, "w b", "entry \"state_dict\" "},
        {"{model_state_dict:{w:1},best:2}", NULL, "w", "entry \"model_state_dict\" "},
        {"{model:{w:1},optimizer:{state:{a:{m:1,n:2,o:3}}}}", NULL, "w", "entry \"model\" "},
        {"{ema:{w:1}}", NULL, "w", "entry \"ema\" "},
        {"{params:{w:1}}", NULL, "w", "entry \"params\" "},
        {"{whatever:{w:1}}", NULL, "w", "entry \"whatever\" "},
        {"{ckpt:{model:{w:1},epoch:#}}", NULL, "w", "entry \"ckpt.model\" "},
        {"{a:{b:{c:{d:{w:1}}}}}", NULL, "w", "entry \"a.b.c.d\" "},
        {"[{w:1},#]", NULL, "w", "entry \"0\" "},
        /* The same, named. */
        {"{ckpt:{model:{w:1},other:{v:2}}}", "ckpt.model", "w", NULL},
        {"{ckpt:{model:{w:1}}}", "ckpt", "w", "entry \"ckpt.model\" "},
        {"{a.b:{w:1},a:{b:{v:2}}}", "a.b", "w", NULL},
        {"{a.b:{c:{w:1}},a:{v:2}}", "a.b.c", "w", NULL},
        {"{models:[{w:1},{v:2}]}", "models.1", "v", NULL},
        {"{student.w:1,teacher.w:2,teacher.b:3}", "teacher", "w b", NULL},
        {"{ckpt:{sd:{student.w:1,teacher.w:2}}}", "ckpt.sd.student", "w", NULL},
        /* Averages are second to the weights themselves, and are mentioned. */
        {"{model:{w:1,b:2},model_ema:{w:3,b:4}}", NULL, "w b", "also --key \"model_ema\""},
        {"{ema:{model:{w:1}},model:{v:2}}", NULL, "v", "also --key \"ema.model\""},
        {"{model_ema:{w:1},swa_model:{v:2},any:{u:3}}", NULL, "u", "\"swa_model\" (1 tensors)"},
        {"{net_a:{w:1,b:2},averaged_model:{n_averaged:1,module.w:2,module.b:3}}", NULL, "w b",
         "averaged_model"},
        {"{n_averaged:1,module.w:2}", NULL, "n_averaged w", NULL},
        {"{swap:{w:1},schema:{v:2},model:{u:3}}", NULL, "u", "also --key \"swap\""},
        /* A usual name counts more than others. */
        {"{state_dict:{w:1},student:{v:2}}", NULL, "w", "also --key \"student\""},
        /* Few tensors beside many are a loss or a statistic. */
        {"{net:{w:1,b:2,c:3},weights:{w:4}}", NULL, "w b c", "entry \"net\" "},
        /* The same weights twice are no choice. */
        {"{model:{w:1,b:2},state_dict:{w:1,b:2}}", NULL, "w b", "entry \"model\" "},
        {"{w:1,b:2,extra:{x:#}}", NULL, "w b", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_error err = {0};
        char names[100] = "";
        struct adl_tensors *set = read_object(cases[i].object, cases[i].key, &err);
        if (!set) {
            TEST_FAIL("%s: %s", cases[i].object, err.message);
            continue;
        }
        for (size_t k = 0; k < adl_tensors_count(set); k++) {
            strcat(names, k ? " " : "");
            strcat(names, adl_tensors_at(set, k)->name);
        }
        const char *note = adl_tensors_note(set);
        if (strcmp(names, cases[i].names) != 0 || !note != !cases[i].note ||
            (note && !strstr(note, cases[i].note)))
            TEST_FAIL("%s: \"%s\", note %s", cases[i].object, names, note ? note : "none");
        adl_tensors_free(set);
    }
}

static void choices_are_left_to_the_user(void)
{
    static const struct {
        const char *object, *key;
        enum adl_error_kind kind;
        const char *part;
    } cases[] = {
        {"{student:{w:1},teacher:{w:2}}", NULL, ADL_ERR_UNSUPPORTED, "--key \"teacher\" (1 te"},
        {"{model:{w:1,b:2},net:{w:3,b:4}}", NULL, ADL_ERR_UNSUPPORTED, "--key \"model\" (2 te"},
        {"{c:{a:{w:1},b:{w:2}}}", "c", ADL_ERR_UNSUPPORTED, "--key \"c.b\""},
        {"{c:{a:{w:1}}}", "c.x", ADL_ERR_NOT_FOUND, "it has \"c\""},
        {"{c:{a:{w:1}}}", "", ADL_ERR_NOT_FOUND, "\"c\""},
        {"{c:{a:1},n:#}", "n", ADL_ERR_UNSUPPORTED, "\"n\""},
        {"{optimizer:{state:{w:1}}}", NULL, ADL_ERR_UNSUPPORTED, "--key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct adl_error err = {0};
        struct adl_tensors *set = read_object(cases[i].object, cases[i].key, &err);
        if (set || err.kind != cases[i].kind || !strstr(err.message, cases[i].part))
            TEST_FAIL("%s: %s", cases[i].object, set ? "accepted" : err.message);
        adl_tensors_free(set);
    }
}

TEST_SUITE(torch_dict, {"the state_dict is found", the_state_dict_is_found},
           {"choices are left to the user", choices_are_left_to_the_user});
