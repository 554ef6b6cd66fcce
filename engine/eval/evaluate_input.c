/* Reads images and true boxes for the evaluation; see evaluate_input.h. */

#include "eval/evaluate_input.h"

#include "base/mem.h"
#include "data/image_file.h"
#include "wsol/evaluator.h"

int adl_evaluate_read_images(const struct adl_frame_source *source,
                             const struct adl_dataset *dataset, size_t index,
                             const struct adl_view_sizes *sizes, struct adl_str *path,
                             struct adl_view_images *images, struct adl_image *original,
                             struct adl_error *err)
{
    struct adl_image image = {0};
    int result = -1;

    if (sizes->count == 1)
        return adl_frame_read(source, dataset, index, sizes->items[0].w, sizes->items[0].h, path,
                              &images->items[0], original, err);
    if (adl_dataset_image_read(dataset, index, path, &image, err) == 0)
        result = adl_view_images_make(&image, sizes, images, err);
    *original = (struct adl_image){.width = image.width, .height = image.height};
    adl_image_release(&image);
    return result;
}

int adl_evaluate_scale_truth(const struct adl_dataset *dataset, size_t index, int width, int height,
                             int map_width, int map_height, struct adl_box **truth,
                             size_t *capacity, struct adl_error *err)
{
    const struct adl_dataset_image *entry = &dataset->images[index];
    struct adl_box *scaled = adl_array_grow(*truth, capacity, entry->box_count, sizeof *scaled);

    if (!scaled && entry->box_count)
        return adl_fail_nomem(err, "boxes");
    *truth = scaled;
    for (size_t i = 0; i < entry->box_count; i++) {
        const struct adl_dataset_box *box = &dataset->boxes[entry->first_box + i];
        scaled[i] = adl_box_resize_truth((struct adl_box){box->x0, box->y0, box->x1, box->y1},
                                         width, height, map_width, map_height);
    }
    return 0;
}
