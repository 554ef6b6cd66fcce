#ifndef ADL_SERVER_SERVING_REGISTRY_PARTS_H
#define ADL_SERVER_SERVING_REGISTRY_PARTS_H

/* The struct that registry.c shares with registry_change.c; the design is in registry.c. */

#include "server/serving/registry_table.h"

struct adl_registry {
    pthread_mutex_t lock; /* protects `table` */
    struct adl_registry_table *table;
    struct adl_served_setup setup;
    char *paths[ADL_LIMIT_MODELS]; /* of --model; owned */
    size_t path_count;
    size_t keep; /* replaced versions */
    int threads;
    int folder; /* -1: none */
};

#endif
