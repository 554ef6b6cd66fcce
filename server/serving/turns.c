#include "server/serving/turns.h"

void adl_turns_init(struct adl_turns *turns)
{
    pthread_mutex_init(&turns->lock, NULL);
    pthread_cond_init(&turns->next, NULL);
    turns->given = turns->now = 0;
}

void adl_turns_destroy(struct adl_turns *turns)
{
    pthread_cond_destroy(&turns->next);
    pthread_mutex_destroy(&turns->lock);
}

void adl_turns_take(struct adl_turns *turns)
{
    pthread_mutex_lock(&turns->lock);
    uint64_t mine = turns->given++;
    while (turns->now != mine)
        pthread_cond_wait(&turns->next, &turns->lock);
    pthread_mutex_unlock(&turns->lock);
}

void adl_turns_pass(struct adl_turns *turns)
{
    pthread_mutex_lock(&turns->lock);
    turns->now++;
    pthread_cond_broadcast(&turns->next);
    pthread_mutex_unlock(&turns->lock);
}

bool adl_turns_wanted(struct adl_turns *turns)
{
    pthread_mutex_lock(&turns->lock);
    bool wanted = turns->given > turns->now + 1;
    pthread_mutex_unlock(&turns->lock);
    return wanted;
}
