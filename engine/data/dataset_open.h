#ifndef ADL_DATA_DATASET_OPEN_H
#define ADL_DATA_DATASET_OPEN_H

/* Opens a data set in whichever layout its directory has, or from a file:
 *
 *   lists    metadata/SPLIT/{image_ids,class_labels,localization,image_sizes}.txt as in
 *            the reference evaluation code, class names in classes.txt. There is a split
 *            for every directory below metadata/. localization.txt names boxes, or masks.
 *   CUB      images.txt, train_test_split.txt, image_class_labels.txt,
 *            bounding_boxes.txt, classes.txt: CUB-200-2011 as distributed, also in a directory
 *            CUB_200_2011 below DIR. The splits are train and test; val is empty unless
 *            DIR/metadata/val has lists. A box X Y WIDTH HEIGHT becomes trunc(X), trunc(Y),
 *            trunc(X) + WIDTH and trunc(Y) + HEIGHT, truncated: one pixel past the inclusive
 *            box, as in the metadata of the reference evaluation code. Without
 *            bounding_boxes.txt there are no boxes; if only train images lack some, train has
 *            none.
 *   folder   A directory of images for each class; no boxes. Images are also taken from the
 *            directories below that of the class, and a directory without any image is not a
 *            class. If DIR/train, DIR/val or DIR/test hold class directories, they are the
 *            splits, and the classes are those of train. Otherwise DIR itself holds the class
 *            directories: val is every tenth image of a class in the order of a hash of the
 *            image's path, train is the rest, all is everything, and test is the same as val,
 *            with a note.
 *   CSV      A file instead of a directory: PATH,LABEL in each line, quoted as RFC 4180 has it,
 *            after a heading "path,label" or without. Paths are relative to the file's directory.
 *            A third column may name the split of each image; without one, the splits are those of
 *            a folder. The classes are the labels of train in byte order.
 *   COCO,    A file NAME.json with images, annotations and categories, or an export of Label
 *   Label    Studio. The images are in its directory, or in images/ beside it. Such a file has no
 *   Studio   splits: each name of a split is all of it.
 *   VOC      DIR/Annotations/NAME.xml, images in JPEGImages, splits in ImageSets/Main/SPLIT.txt;
 *            without these lists, each name of a split is all of it.
 *   YOLO     labels/SPLIT/NAME.txt beside images/SPLIT, or SPLIT/labels beside SPLIT/images; with
 *            no directory of any split, each name of a split is all of labels/. Class names are in
 *            classes.txt or data.yaml.
 *
 * An image of the last four has the class that its boxes cover the most of, and only boxes of that
 * class, unless multi_label is set (data/annotated.h).
 *
 * In each of them, the images may have masks: PNG files called as the images are, in a directory of
 * their own (struct adl_dataset_options, `masks`).
 *
 * struct adl_dataset_options, `division`, can divide the images of a data set without a val split
 * otherwise than by every tenth one.
 *
 * The directory of a split may also be called training, valid, validation or testing, in any
 * case. Texts may begin with a UTF-8 byte order mark. */

#include "data/dataset.h"

/* Reads a data set, which the caller frees with adl_dataset_free(). Fails with ADL_ERR_ARG if
 * neither `dir` nor `metadata` is given, the split's name is not a directory name or the division
 * is not possible, with ADL_ERR_NOT_FOUND if `dir` is neither a directory nor a file, no layout
 * matches or the split does not exist, with ADL_ERR_FORMAT for a malformed line, an image without a
 * class or with two, and a class without a name (the message names the file), and with
 * ADL_ERR_LIMIT, ADL_ERR_IO and ADL_ERR_NOMEM. */
struct adl_dataset *adl_dataset_open(const struct adl_dataset_options *options,
                                     struct adl_error *err) ADL_MUST_CHECK;

#endif
