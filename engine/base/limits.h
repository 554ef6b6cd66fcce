#ifndef ADL_BASE_LIMITS_H
#define ADL_BASE_LIMITS_H

/* Every fixed limit of the program, with its unit and its reason. Limits that a user may
 * want to change are options; these are their defaults or their bounds. */

#define ADL_KIB ((size_t)1024)
#define ADL_MIB (1024 * ADL_KIB)

/* --- files --------------------------------------------------------------- */

/* The safetensors specification's cap on the JSON header. */
#define ADL_LIMIT_SAFETENSORS_HEADER_BYTES ((size_t)100000000)
/* The header that is accepted in practice: jansson needs about ten times its size in
 * memory, and real checkpoints of these networks stay under 100 KiB. */
#define ADL_LIMIT_SAFETENSORS_HEADER_PRACTICAL_BYTES (16 * ADL_MIB)
/* Tensors in one file; the largest network here has a few hundred. */
#define ADL_LIMIT_TENSORS 65536
/* Dimensions of a tensor. */
#define ADL_LIMIT_RANK 8
/* Bytes of a tensor's name. */
#define ADL_LIMIT_TENSOR_NAME_BYTES 1024
/* Metadata entries of one file; ours have a handful. */
#define ADL_LIMIT_METADATA 4096
/* One weight file: VGG-16 with its optimizer's state is 1.1 GB. */
#define ADL_LIMIT_WEIGHTS_BYTES (8192 * ADL_MIB)
/* PyTorch files: the pickle of the object (names and shapes, no data), not counting the
 * long texts that are skipped in it. */
#define ADL_LIMIT_PICKLE_BYTES (64 * ADL_MIB)
/* Values on the stack of the pickle machine, and numbers of its memo. */
#define ADL_LIMIT_PICKLE_STACK 65536
#define ADL_LIMIT_PICKLE_MEMO 1000000
/* The longest text or bytes object of a pickle that is kept, as a name may be; longer ones,
 * such as the elements of a NumPy array, are skipped. */
#define ADL_LIMIT_PICKLE_STRING_BYTES (64 * ADL_KIB)
/* Bytes of text that are copied out of a pickle: names of globals that come in two parts,
 * a few kilobytes for the classes of a real checkpoint. */
#define ADL_LIMIT_PICKLE_COPIED_BYTES (4 * ADL_MIB)
/* Values of one pickle: each takes about 32 bytes, and two bytes of the file can make one. */
#define ADL_LIMIT_PICKLE_VALUES 4000000
/* Several tensors may share a storage, and a stride of 0 repeats elements: all
 * tensors together may be this many times the file, or this many bytes. */
#define ADL_LIMIT_TORCH_EXPANSION 16
#define ADL_LIMIT_TORCH_EXPANSION_BYTES (16 * ADL_MIB)
/* Entries of the zip container. */
#define ADL_LIMIT_ZIP_ENTRIES 65536
/* One protocol buffer (an ONNX file): readers keep its size in a signed 32-bit number. */
#define ADL_LIMIT_PROTOBUF_BYTES (2048 * ADL_MIB - 1)
/* Nodes of an ONNX graph; exports of the largest CNN classifiers have some thousands, with the
 * arithmetic on shapes. */
#define ADL_LIMIT_ONNX_NODES 16384
/* Inputs, outputs or attributes of one node; DenseNet-264 joins 65 maps in one node. */
#define ADL_LIMIT_ONNX_PORTS 256
/* Elements of a constant that is computed while a graph is read: shapes have a handful. */
#define ADL_LIMIT_ONNX_FOLDED 4096
/* Files with data of tensors beside an ONNX file: one, or one for each weight. */
#define ADL_LIMIT_ONNX_FILES 1024
/* Every node may copy a constant, to turn it round or as a weight of its own: all copies together
 * may be this many times the file, or this many bytes. A weight in bytes that becomes floats, is
 * transposed and then stored takes 12 times its bytes. */
#define ADL_LIMIT_ONNX_EXPANSION 16
#define ADL_LIMIT_ONNX_EXPANSION_BYTES (64 * ADL_MIB)
/* Nodes of a network that is described in a model file. */
#define ADL_LIMIT_STORED_NODES 4096

/* A configuration file: a few dozen options. */
#define ADL_LIMIT_CONFIG_BYTES ADL_MIB

/* A file of class names: 65536 names of 60 bytes. */
#define ADL_LIMIT_CLASS_FILE_BYTES (4 * ADL_MIB)

/* Levels of nested directories that `localize` descends into. */
#define ADL_LIMIT_FOLDER_DEPTH 64
/* One image file: a 100-megapixel PNG without compression. */
#define ADL_LIMIT_IMAGE_FILE_BYTES (512 * ADL_MIB)

/* --- images -------------------------------------------------------------- */

/* --max-pixels: 100 megapixels are 300 MB decoded. */
#define ADL_LIMIT_IMAGE_PIXELS ((size_t)100 * 1000 * 1000)
/* One side of an image: JPEG's own maximum. */
#define ADL_LIMIT_IMAGE_SIDE 65535
/* Scans of a progressive JPEG: real encoders write about ten, an attack
 * thousands, each costing a pass over the whole image. */
#define ADL_LIMIT_JPEG_SCANS 100
/* One metadata chunk of a PNG (colour profile, EXIF, text), unpacked; all
 * together twice that. */
#define ADL_LIMIT_PNG_CHUNK_BYTES (16 * ADL_MIB)
/* --max-image-memory: bytes that one decode may allocate besides its output. */
#define ADL_LIMIT_DECODE_BYTES (512 * ADL_MIB)

/* --- networks ------------------------------------------------------------ */

/* Classes of a model; ImageNet-21k has 21,841. */
#define ADL_LIMIT_CLASSES 65536
/* Bytes of one class's name; ImageNet's longest, with its synonyms, has 121. */
#define ADL_LIMIT_CLASS_NAME_BYTES 1024
/* Rows of each kind in the table of weights that do not fit; the largest
 * network here has 356 tensors. */
#define ADL_LIMIT_REPORT_ROWS 500
/* Steps of the search for similar names, cells of edit-distance tables: about a second. */
#define ADL_LIMIT_REPORT_STEPS ((size_t)300 * 1000 * 1000)
/* One side of a pooling window; the networks here have 2 and 3. */
#define ADL_LIMIT_WINDOW 16
/* One side of the network's input. */
#define ADL_LIMIT_INPUT_SIDE 4096
/* Images in one batch of `forward`, `bench` or the server. */
#define ADL_LIMIT_BATCH 4096
/* Threads of the compute pool; OpenBLAS keeps a buffer for each caller. */
#define ADL_LIMIT_THREADS 64

/* --- data sets ----------------------------------------------------------- */

/* One list file of a data set: ImageNet's class labels have 58 MB. */
#define ADL_LIMIT_LIST_BYTES (1024 * ADL_MIB)
/* A JSON file of boxes: COCO's of 118,287 images has 470 MB. */
#define ADL_LIMIT_BOX_LIST_BYTES (1024 * ADL_MIB)
/* The boxes of one image in a file of its own, and the settings of a set of them. */
#define ADL_LIMIT_BOX_FILE_BYTES (4 * ADL_MIB)
/* One line of a list file: the longest path on Linux. */
#define ADL_LIMIT_LIST_LINE_BYTES 4096
/* Images of a split; ImageNet-21k has 14 million. */
#define ADL_LIMIT_DATASET_IMAGES 20000000
/* The largest number in CUB's images.txt, which has 11,788. */
#define ADL_LIMIT_CUB_NUMBER 1000000
/* Header of a .npy file; NumPy itself refuses a longer one. */
#define ADL_LIMIT_NPY_HEADER_BYTES 10000
/* metrics.jsonl of a training run: one line of some hundred bytes for each epoch. */
#define ADL_LIMIT_METRICS_BYTES (64 * ADL_MIB)
/* steps.jsonl: a hundred bytes for each of ten million steps. */
#define ADL_LIMIT_STEPS_BYTES (1024 * ADL_MIB)
/* Files of `train --cache`: the frames of 87,000 images at the usual size. */
#define ADL_LIMIT_FRAME_FILES_BYTES (16384 * ADL_MIB)
/* --cache-memory, in MiB. */
#define ADL_LIMIT_CACHE_MIB 1048576
/* Batches that the loader prepares in advance. */
#define ADL_LIMIT_PREFETCH 64

/* --- evaluation ---------------------------------------------------------- */

/* Thresholds of an accuracy curve: a map has 256 levels, and the reference evaluates 1000
 * thresholds. */
#define ADL_LIMIT_CURVE_STEPS 100000

/* Classes whose maps are averaged: the published training of CUB takes 200. */
#define ADL_LIMIT_MAP_CLASSES 1000

/* --- class maps ---------------------------------------------------------- */

/* Input scales that a class map is averaged over, and their range: below one half the last map
 * has a few positions only, and twice the sides take four times the computing time. */
#define ADL_LIMIT_MAP_SCALES 4
#define ADL_MAP_SCALE_MIN 0.5
#define ADL_MAP_SCALE_MAX 2.0
/* Input sizes, and bytes, for which a network that is served keeps memory after requests that asked
 * for other scales than its own rule; one request needs up to ADL_LIMIT_MAP_SCALES + 1 sizes. */
#define ADL_LIMIT_VIEW_SIZES (ADL_LIMIT_MAP_SCALES + 2)
#define ADL_LIMIT_VIEW_BYTES (256 * ADL_MIB)
/* Channels of the last map whose principal component is searched, in a buffer on the stack; the
 * networks here have up to 2048. */
#define ADL_LIMIT_PRINCIPAL_CHANNELS 4096
/* Bytes of the name of a layer whose map is joined with the class map; names of the networks here
 * have up to 40. */
#define ADL_LIMIT_LAYER_NAME_BYTES 96
/* Layers below the last map that the few-box head reads. */
#define ADL_LIMIT_HEAD_LAYERS 2
/* Values that a plan keeps beside the outputs of the network: the layers of two few-box heads,
 * since calibration compares a new one with that of the model, and the layer of --map-layer. */
#define ADL_LIMIT_KEPT (2 * ADL_LIMIT_HEAD_LAYERS + 1)
/* Layers of a classifier of which a plan computes the maps of single classes; one with more makes
 * those of all, as one with more channels between them. */
#define ADL_LIMIT_CLASS_LAYERS 8
#define ADL_LIMIT_CLASS_CHANNELS 4096
/* --max-map-cost: pixels of all views of a request, as a multiple of the network's input. The
 * image and its mirror image at scales 1 and 1.43 have 6.1. */
#define ADL_LIMIT_MAP_COST 8

/* --- HTTP ---------------------------------------------------------------- */

/* --max-body: a large photograph from a camera. */
#define ADL_LIMIT_BODY_BYTES (16 * ADL_MIB)
/* Images in one multipart request. */
#define ADL_LIMIT_MULTIPART_PARTS 64
/* Headers of one part. */
#define ADL_LIMIT_PART_HEADER_BYTES (8 * ADL_KIB)
/* RFC 2046: 1 to 70 characters. */
#define ADL_LIMIT_BOUNDARY_BYTES 70
/* top_k of a request. */
#define ADL_LIMIT_TOP_K 100
/* Pixels of all heat maps that one reply holds as images: seconds of work, and about one byte
 * for each pixel. */
#define ADL_LIMIT_HEATMAP_PIXELS ADL_LIMIT_IMAGE_PIXELS
/* Bytes that are still read from a refused request before its connection is closed: enough
 * for a client that sends its whole body before it reads the reply. */
#define ADL_LIMIT_SWALLOW_BYTES (32 * ADL_MIB)
/* --memory: bytes of the bodies (a quarter), decoded images and answers of all requests in flight;
 * a lossless WebP of 100 megapixels, which has to be decoded as a whole, takes 671 MiB. */
#define ADL_LIMIT_MEMORY_BYTES (1024 * ADL_MIB)
/* Memory of one connection inside libmicrohttpd, for its headers and buffers. */
#define ADL_LIMIT_CONNECTION_BYTES (128 * ADL_KIB)
/* Listening sockets that a service manager passes. */
#define ADL_LIMIT_LISTENERS 16
/* --queue. */
#define ADL_LIMIT_QUEUE 4096
/* Open Inference Protocol: elements of "inputs", of which a request needs one; and bytes of its
 * JSON beside the data of the tensors, which have a value in memory for each member. */
#define ADL_LIMIT_INFERENCE_INPUTS 8
#define ADL_LIMIT_INFERENCE_HEAD_BYTES (64 * ADL_KIB)
/* Names of models that one server has, aliases among them; each has its counters and may have a
 * loaded model. */
#define ADL_LIMIT_MODELS 32
/* --keep-versions: replaced versions of one model that stay loaded. */
#define ADL_LIMIT_KEPT_VERSIONS 8
/* The name of a file in --models-dir, with the folders before it. */
#define ADL_LIMIT_MODEL_FILE_BYTES 255
/* The body of PUT /models/NAME: two short strings. */
#define ADL_LIMIT_MODEL_REQUEST_BYTES (4 * ADL_KIB)
/* Bytes of a model's name in requests. */
#define ADL_LIMIT_MODEL_NAME_BYTES 64
/* A value in the query string: as long as the longest class name. */
#define ADL_LIMIT_PARAM_BYTES ADL_LIMIT_CLASS_NAME_BYTES
/* --token-file: the size of the file, and the number of tokens in it. */
#define ADL_LIMIT_TOKEN_FILE_BYTES (64 * ADL_KIB)
#define ADL_LIMIT_TOKENS 256
/* Images that may be queued or in progress however long they wait (server/serving/admission.h). */
#define ADL_LIMIT_LEAST_QUEUE 4
/* A client's X-Request-Id. */
#define ADL_LIMIT_REQUEST_ID_BYTES 64
/* Errands, such as files to be written, that wait for the thread that does them. */
#define ADL_LIMIT_ERRANDS 64
/* serve --annotations: bytes of a picture's name, which gets an extension and a prefix while it is
 * written, in a file system whose names have 255; boxes of one picture; bytes of the JSON that
 * holds them; pictures, all boxes and bytes of all pictures in one directory, since every change
 * writes the lists of all of them. */
#define ADL_LIMIT_ANNOTATION_NAME_BYTES 180
#define ADL_LIMIT_ANNOTATION_BOXES 200
#define ADL_LIMIT_ANNOTATION_BYTES ADL_MIB
#define ADL_LIMIT_ANNOTATIONS 10000
#define ADL_LIMIT_ANNOTATION_ALL_BOXES 100000
#define ADL_LIMIT_ANNOTATION_STORE_BYTES ((size_t)16384 * ADL_MIB)
/* serve --jobs: bytes of a folder's name and of a request; images of a folder, bytes of their
 * paths, entries of all its directories; bytes of the results of one job, which are in a file; the
 * most of --max-jobs. */
#define ADL_LIMIT_JOB_FOLDER_BYTES 1024
#define ADL_LIMIT_JOB_REQUEST_BYTES (16 * ADL_KIB)
#define ADL_LIMIT_JOB_IMAGES 100000
#define ADL_LIMIT_JOB_PATH_BYTES (32 * ADL_MIB)
#define ADL_LIMIT_JOB_ENTRIES 1000000
#define ADL_LIMIT_JOB_RESULT_BYTES (256 * ADL_MIB)
#define ADL_LIMIT_JOBS 1000
/* Boxes of one prediction: noise at a low threshold gives thousands. */
#define ADL_LIMIT_BOXES 1000

#endif
