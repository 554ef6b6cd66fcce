/* server/tasks/box_formats and export_text: the bytes of the exports. The expected texts are what
 * the web page's functions give for the same boxes (web/exports.js under Node). */

#include "support/test.h"

#include <string.h>

#include "base/size.h"
#include "server/tasks/box_formats.h"
#include "server/tasks/export_text.h"

static char *classes[] = {"a \"q\", \\", "<b> & c\x01", "=d\ne",
                          "\xea\xb3\xa0\x7f\xc2\x85\xef\xbf\xbf"};
static const struct adl_model model = {
    .arch = {.num_classes = 4}, .classes = classes, .class_count = 4};

/* Two predictions of one box each; the first box has a confidence. */
static struct adl_localized_box first = {.box = {0, 0, 0, 95}, .confidence = 0.5};
static struct adl_localized_box second = {.box = {10, 20, 59, 39}};
static struct adl_prediction found[] = {
    {.class_id = 0, .score = 0.75F, .place = {.boxes = &first, .box_count = 1, .judged = true}},
    {.class_id = 2, .score = 0.0078125F, .place = {.boxes = &second, .box_count = 1}},
};
static const struct adl_predictions both = {.items = found, .count = 2}, none = {0};
static const struct adl_box_picture picture = {.name = "zoo/x, \"y\".jpg",
                                               .width = 128,
                                               .height = 96,
                                               .predictions = &both,
                                               .model = &model,
                                               .model_name = "m"};
static const struct adl_box_picture empty = {.name = "-e.png",
                                             .width = 3,
                                             .height = 5,
                                             .predictions = &none,
                                             .model = &model,
                                             .model_name = "m"};

static void expect(struct adl_str *text, const char *expected)
{
    CU_ASSERT_FALSE(text->failed);
    CU_ASSERT_STRING_EQUAL(text->data ? text->data : "", expected);
    adl_str_release(text);
}

static void yolo_as_ultralytics_reads_it(void)
{
    struct adl_str text = {0};

    adl_yolo_put_yaml(&text, &model);
    /* Without `path`, what is relative is so to the file; with ".", to where training was started.
     */
    expect(&text, "train: images\n"
                  "val: images\n"
                  "names:\n"
                  "  0: \"a \\\"q\\\", \\\\\"\n"
                  "  1: \"<b> & c\\u0001\"\n"
                  "  2: \"=d\\ne\"\n"
                  "  3: \"\xea\xb3\xa0\\u007f\\u0085\\uffff\"\n");
    adl_yolo_put_classes(&text, &model);
    expect(&text, "a \"q\", \\\n"
                  "<b> & c\x01\n"
                  "=d e\n"
                  "\xea\xb3\xa0\x7f\xc2\x85\xef\xbf\xbf\n");
    adl_yolo_put_boxes(&text, &picture);
    /* 1/128 lies in the middle between two numbers of six decimals. */
    expect(&text, "0 0.003906 0.500000 0.007813 1.000000\n"
                  "2 0.273438 0.312500 0.390625 0.208333\n");
    adl_yolo_put_boxes(&text, &empty);
    expect(&text, "");
}

#define VOC_HEAD(folder, file, width, height)                                                      \
    "<annotation>\n    <folder>" folder "</folder>\n    <filename>" file "</filename>\n"           \
    "    <source>\n        <database>adl-server</database>\n    </source>\n    <size>\n"           \
    "        <width>" width "</width>\n        <height>" height "</height>\n"                      \
    "        <depth>3</depth>\n    </size>\n    <segmented>0</segmented>\n"
#define VOC_OBJECT(name, x0, y0, x1, y1)                                                           \
    "    <object>\n        <name>" name "</name>\n        <pose>Unspecified</pose>\n"              \
    "        <truncated>0</truncated>\n        <difficult>0</difficult>\n        <bndbox>\n"       \
    "            <xmin>" x0 "</xmin>\n            <ymin>" y0 "</ymin>\n"                           \
    "            <xmax>" x1 "</xmax>\n            <ymax>" y1 "</ymax>\n"                           \
    "        </bndbox>\n    </object>\n"

static void voc_counts_from_one(void)
{
    struct adl_str text = {0};

    adl_voc_put_xml(&text, &picture);
    expect(&text, VOC_HEAD("zoo", "x, &quot;y&quot;.jpg", "128", "96")
                      VOC_OBJECT("a &quot;q&quot;, \\", "1", "1", "1", "96")
                          VOC_OBJECT("=d\ne", "11", "21", "60", "40") "</annotation>\n");
    adl_voc_put_xml(&text, &empty);
    expect(&text, VOC_HEAD("images", "-e.png", "3", "5") "</annotation>\n");
    adl_export_put_xml(&text, "<b> & c\x01\xef\xbf\xbf");
    expect(&text, "&lt;b&gt; &amp; c??");
}

#define STUDIO_BOX(id, place, label, score)                                                        \
    "{\"id\":\"" id "\",\"type\":\"rectanglelabels\",\"from_name\":\"label\","                     \
    "\"to_name\":\"image\",\"original_width\":128,\"original_height\":96,\"image_rotation\":0,"    \
    "\"value\":{\"rotation\":0," place ",\"rectanglelabels\":[" label "]},\"score\":" score "}"

static void label_studio_gets_predictions(void)
{
    struct adl_str text = {0};

    adl_label_studio_put_task(&text, &picture);
    expect(&text,
           "{\"data\":{\"image\":\"zoo/x, \\\"y\\\".jpg\"},\"annotations\":[],\"predictions\":["
           "{\"model_version\":\"m\",\"result\":[" STUDIO_BOX(
               "box1", "\"x\":0,\"y\":0,\"width\":0.78125,\"height\":100", "\"a \\\"q\\\", \\\\\"",
               "0.375") "," STUDIO_BOX("box2",
                                       "\"x\":7.8125,\"y\":20.833333,\"width\":39.0625,"
                                       "\"height\":20.833333",
                                       "\"=d\\ne\"", "0.007813") "],\"score\":0.375}]}");
    adl_label_studio_put_task(&text, &empty);
    expect(&text, "{\"data\":{\"image\":\"-e.png\"},\"annotations\":[],\"predictions\":["
                  "{\"model_version\":\"m\",\"result\":[],\"score\":0}]}");
}

static void csv_has_no_formulas(void)
{
    struct adl_str text = {0};

    adl_boxes_csv_put_header(&text);
    adl_boxes_csv_put(&text, &picture);
    adl_boxes_csv_put(&text, &empty);
    expect(&text, "file,width,height,label,x0,y0,x1,y1,score\n"
                  "\"zoo/x, \"\"y\"\".jpg\",128,96,\"a \"\"q\"\", \\\",0,0,0,95,0.375\n"
                  "\"zoo/x, \"\"y\"\".jpg\",128,96,\"'=d\ne\",10,20,59,39,0.007813\n"
                  "'-e.png,3,5,,,,,,\n");
}

/* As the page's safePath(), without the extension. */
static void stems_stay_inside(void)
{
    static const struct {
        const char *name, *stem;
    } cases[] = {{"../../etc/passwd", "etc/passwd"},
                 {"/a//b/./c\\d.jpg", "a/b/c/d"},
                 {"C:\\x\x01y.tar.gz", "C_/x_y.tar"},
                 {"../c:/10:30.jpg", "c_/10:30"},
                 {"at 10:30.jpg", "at 10:30"},
                 {"..", "_"},
                 {"", "_"},
                 {"a.b/.hidden", "a.b/.hidden"},
                 {"a.b/c", "a.b/c"},
                 {"..a/b.", "..a/b"}};

    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_str text = {0};
        adl_export_put_stem(&text, cases[i].name);
        expect(&text, cases[i].stem);
    }
}

TEST_SUITE(box_formats, {"YOLO as Ultralytics reads it", yolo_as_ultralytics_reads_it},
           {"Pascal VOC counts from one", voc_counts_from_one},
           {"Label Studio gets predictions", label_studio_gets_predictions},
           {"CSV has no formulas", csv_has_no_formulas}, {"stems stay inside", stems_stay_inside});
