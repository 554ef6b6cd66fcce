#ifndef ADL_SERVER_SERVING_TURNS_H
#define ADL_SERVER_SERVING_TURNS_H

/* A lock that threads get in the order in which they asked for it. With a plain mutex, a thread
 * that unlocks it and locks it again at once, as the engine does from image to image, mostly goes
 * before one that has been waiting. All functions are thread-safe but the first two. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct adl_turns {
    pthread_mutex_t lock;
    pthread_cond_t next;
    uint64_t given, now; /* numbers of those who asked; whose turn it is */
};

void adl_turns_init(struct adl_turns *turns);
void adl_turns_destroy(struct adl_turns *turns); /* nobody has it or waits for it */

void adl_turns_take(struct adl_turns *turns);
/* By the thread that has it. */
void adl_turns_pass(struct adl_turns *turns);

/* Returns whether anybody waits for it. */
bool adl_turns_wanted(struct adl_turns *turns);

#endif
