/* The thread that carries parcels; see train/courier.h.
 *
 * A parcel goes through the stages below. On the way up a rank receives what each of its children
 * in the tree has, lowest first, into one of two slots, and adds it to its own; the sum goes to its
 * parent, from which it gets the whole sum back and passes it on to the children. Several parcels
 * are under way at once, and messages between two ranks keep their order, so each kind of message
 * is begun in the order of the parcels: a cursor says whose turn it is.
 *
 * The thread goes round: it begins what can begin, looks at all messages that are under way, and
 * adds one piece of the first parcel that has something to add, a fraction of a millisecond, so
 * that messages move on meanwhile. It sleeps between rounds in which nothing has changed, because
 * the threads that compute need the processors. */

#include "train/courier.h"

#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"

#define PIECE ((size_t)65536) /* numbers that are added in a round */
#define SLOTS 2

/* Rounds without a change before the thread sleeps, and how long it sleeps; longer once it has
 * waited for a second, as for a rank that saves the state of a run. */
#define IDLE_ROUNDS 50
#define NAP_NS 20000L
#define LONG_NAP_NS 1000000L
#define LONG_WAIT_MS 1000.0

enum stage {
    JOIN_OWN,      /* the arrays of this rank */
    JOIN_CHILDREN, /* what the children send */
    PACK,          /* NARROW: make the message */
    SEND_UP,       /* to the parent; not rank 0 */
    RECEIVE_DOWN,  /* the sum from it; not rank 0 */
    SEND_DOWN,     /* to the children */
    UNPACK,        /* NARROW: make floats of the message */
    DONE
};

/* A parcel under way. */
struct load {
    struct adl_parcel parcel;
    enum stage stage;
    size_t position; /* numbers of the stage that are done */
    int joined;      /* children */
    bool begun;      /* the messages of the stage */
    struct adl_message message;
    struct adl_message down[ADL_PARCEL_ARRAYS]; /* to each child */
    bool left[ADL_PARCEL_ARRAYS];               /* it has gone there */
};

/* Memory for what a child sends. */
struct slot {
    void *bytes;
    int load; /* -1: empty */
    int child;
    bool arrived;
    struct adl_message message;
};

struct adl_courier {
    const struct adl_exchange *exchange;
    int parent; /* ranks */
    int children[ADL_PARCEL_ARRAYS], child_count;
    int capacity;
    size_t most;

    /* Of the thread while parcels are under way. */
    struct load *loads;
    struct slot slots[SLOTS];
    int receive_load, receive_child; /* whose message a slot is for next */
    int up, down, out;               /* the load whose turn it is to go up, come down and go out */
    int completed, idle_rounds;
    uint64_t idle_since_ns, sent_bytes, received_bytes;

    pthread_mutex_t lock; /* protects the rest */
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, stop, failed;
    struct adl_error error; /* why it failed */
    int added, done;        /* parcels of the batch */
    uint64_t busy_since_ns;
    double busy_s, exposed_s;
};

/* --- messages ------------------------------------------------------------------------------ */

static int begin_send(struct adl_courier *c, const struct load *load, int to,
                      struct adl_message *message, struct adl_error *err)
{
    size_t bytes = adl_parcel_bytes(&load->parcel);
    c->sent_bytes += bytes;
    return c->exchange->begin_send(c->exchange->context, to, adl_parcel_message(&load->parcel),
                                   bytes, message, err);
}

static int begin_receive(struct adl_courier *c, const struct load *load, int from, void *to,
                         struct adl_message *message, struct adl_error *err)
{
    size_t bytes = adl_parcel_bytes(&load->parcel);
    c->received_bytes += bytes;
    return c->exchange->begin_receive(c->exchange->context, from, to, bytes, message, err);
}

/* Fills empty slots, in the order of the parcels and, within one, of the children. */
static int fill_slots(struct adl_courier *c, int added, struct adl_error *err)
{
    for (int s = 0; s < SLOTS && c->child_count > 0; s++) {
        struct slot *slot = &c->slots[s];
        if (slot->load >= 0 || c->receive_load == added)
            continue;
        slot->load = c->receive_load;
        slot->child = c->receive_child;
        slot->arrived = false;
        if (begin_receive(c, &c->loads[slot->load], c->children[c->receive_child], slot->bytes,
                          &slot->message, err) < 0)
            return -1;
        if (++c->receive_child == c->child_count) {
            c->receive_child = 0;
            c->receive_load++;
        }
    }
    return 0;
}

static int look_at_slots(struct adl_courier *c, bool *moved, struct adl_error *err)
{
    for (int s = 0; s < SLOTS; s++) {
        struct slot *slot = &c->slots[s];
        if (slot->load < 0 || slot->arrived)
            continue;
        int there = c->exchange->test(c->exchange->context, &slot->message, err);
        if (there < 0)
            return -1;
        slot->arrived = there;
        *moved |= there;
    }
    return 0;
}

/* Begins a stage. */
static void enter(struct load *load, enum stage stage)
{
    load->stage = stage;
    load->position = 0;
    load->begun = false;
}

/* Begins the message of a stage when it is the turn of load `i`, and then looks whether it has
 * gone: 1, 0, or -1 on failure. */
static int go_up_or_down(struct adl_courier *c, int i, struct adl_error *err)
{
    struct load *load = &c->loads[i];
    bool up = load->stage == SEND_UP;
    int *turn = up ? &c->up : &c->down;

    if (!load->begun) {
        if (*turn != i)
            return 0;
        ++*turn;
        load->begun = true;
        return up ? begin_send(c, load, c->parent, &load->message, err)
                  : begin_receive(c, load, c->parent, adl_parcel_message(&load->parcel),
                                  &load->message, err);
    }
    return c->exchange->test(c->exchange->context, &load->message, err);
}

/* The same with the messages to all children. */
static int go_out(struct adl_courier *c, int i, struct adl_error *err)
{
    struct load *load = &c->loads[i];
    int left = 0;

    if (!load->begun && c->out != i)
        return 0;
    for (int child = 0; child < c->child_count; child++) {
        int result = !load->begun ? begin_send(c, load, c->children[child], &load->down[child], err)
                     : load->left[child]
                         ? 1
                         : c->exchange->test(c->exchange->context, &load->down[child], err);
        if (result < 0)
            return -1;
        load->left[child] = result > 0;
        left += result > 0;
    }
    c->out += !load->begun;
    load->begun = true;
    return left == c->child_count;
}

/* Moves the messages of a load on. */
static int move_on(struct adl_courier *c, int i, bool *moved, struct adl_error *err)
{
    struct load *load = &c->loads[i];
    int gone = 0;

    if (load->stage == SEND_UP || load->stage == RECEIVE_DOWN)
        gone = go_up_or_down(c, i, err);
    else if (load->stage == SEND_DOWN)
        gone = go_out(c, i, err);
    if (gone <= 0)
        return gone;
    *moved = true;
    if (load->stage != SEND_DOWN) {
        enter(load, load->stage == SEND_UP ? RECEIVE_DOWN : SEND_DOWN);
        return 0;
    }
    enter(load, load->parcel.kind == ADL_PARCEL_NARROW ? UNPACK : DONE);
    c->completed += load->stage == DONE;
    return 0;
}

/* --- sums ------------------------------------------------------------------------------------ */

/* Returns the slot with the message that a load adds next; NULL if it has not arrived. */
static struct slot *slot_of(struct adl_courier *c, int i)
{
    for (int s = 0; s < SLOTS; s++)
        if (c->slots[s].load == i && c->slots[s].child == c->loads[i].joined && c->slots[s].arrived)
            return &c->slots[s];
    return NULL;
}

/* Leaves a stage of sums that has come to its end. */
static void end_sums(struct adl_courier *c, struct load *load)
{
    bool more = load->stage == JOIN_OWN
                    ? c->child_count > 0
                    : load->stage == JOIN_CHILDREN && load->joined < c->child_count;
    if (more)
        enter(load, JOIN_CHILDREN);
    else if (load->stage == UNPACK)
        enter(load, DONE);
    else if (load->stage != PACK && load->parcel.kind == ADL_PARCEL_NARROW)
        enter(load, PACK);
    else
        enter(load, c->exchange->rank > 0 ? SEND_UP : SEND_DOWN);
    c->completed += load->stage == DONE;
}

/* Does a piece of the sums of a load. Returns false if there is nothing to do now. */
static bool do_sums(struct adl_courier *c, int i)
{
    struct load *load = &c->loads[i];
    const struct adl_parcel *parcel = &load->parcel;
    struct slot *slot = load->stage == JOIN_CHILDREN ? slot_of(c, i) : NULL;
    size_t first = load->position, count = ADL_MIN(PIECE, parcel->count - first);

    switch (load->stage) {
    case JOIN_OWN: adl_parcel_join_own(parcel, first, count); break;
    case JOIN_CHILDREN:
        if (!slot)
            return false;
        adl_parcel_join_message(parcel, slot->bytes, first, count);
        break;
    case PACK: /* goes from the end to the beginning */
        adl_parcel_pack(parcel, parcel->count - first - count, count);
        break;
    case UNPACK: adl_parcel_unpack(parcel, first, count); break;
    default: return false;
    }
    load->position += count;
    if (load->position < parcel->count)
        return true;
    if (slot) {
        slot->load = -1;
        load->joined++;
    }
    end_sums(c, load);
    return true;
}

/* --- the thread ------------------------------------------------------------------------------ */

/* Goes round once. */
static int go_round(struct adl_courier *c, int added, bool *moved, struct adl_error *err)
{
    bool summed = false;

    if (fill_slots(c, added, err) < 0 || look_at_slots(c, moved, err) < 0)
        return -1;
    for (int i = 0; i < added; i++) {
        if (move_on(c, i, moved, err) < 0)
            return -1;
        summed = summed || do_sums(c, i);
    }
    *moved |= summed;
    return 0;
}

static void take_nap(struct adl_courier *c)
{
    if (c->idle_rounds++ == 0)
        c->idle_since_ns = adl_clock_ns();
    if (c->idle_rounds < IDLE_ROUNDS)
        return;
    bool is_long = adl_clock_ms(c->idle_since_ns, adl_clock_ns()) > LONG_WAIT_MS;
    const struct timespec nap = {0, is_long ? LONG_NAP_NS : NAP_NS};
    nanosleep(&nap, NULL);
}

/* Goes round once with the lock released meanwhile, and notes what has become of it. */
static void carry(struct adl_courier *c)
{
    struct adl_error error = {0};
    bool moved = false;
    int added = c->added;

    pthread_mutex_unlock(&c->lock);
    int result = go_round(c, added, &moved, &error);
    if (moved)
        c->idle_rounds = 0;
    else if (result == 0)
        take_nap(c);
    int completed = c->completed;
    pthread_mutex_lock(&c->lock);
    if (result < 0) {
        c->failed = true;
        c->error = error;
    }
    c->done = completed;
    if (c->done == c->added)
        c->busy_s += adl_clock_ms(c->busy_since_ns, adl_clock_ns()) / 1000;
    if (c->failed || c->done == c->added)
        pthread_cond_broadcast(&c->changed);
}

static void *courier_main(void *argument)
{
    struct adl_courier *c = argument;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        if (c->failed || c->done == c->added)
            pthread_cond_wait(&c->changed, &c->lock);
        else
            carry(c);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* --- the caller ------------------------------------------------------------------------------ */

static void find_relatives(struct adl_courier *c)
{
    const struct adl_exchange *exchange = c->exchange;
    int last = adl_exchange_level(exchange);
    c->parent = exchange->rank - last;
    for (int level = 1; level < last; level *= 2)
        if (exchange->rank + level < exchange->ranks)
            c->children[c->child_count++] = exchange->rank + level;
}

static int take_memory(struct adl_courier *c, struct adl_error *err)
{
    bool failed = false;
    c->loads = adl_calloc((size_t)c->capacity, sizeof *c->loads);
    failed = !c->loads;
    for (int s = 0; s < SLOTS; s++) {
        c->slots[s].load = -1;
        if (c->child_count > 0)
            c->slots[s].bytes = adl_malloc(c->most, 1);
        failed = failed || (c->child_count > 0 && !c->slots[s].bytes);
    }
    return failed ? adl_fail_nomem(err, "the exchange between processes") : 0;
}

struct adl_courier *adl_courier_create(const struct adl_exchange *exchange, int parcels,
                                       size_t most, struct adl_error *err)
{
    struct adl_courier *c = adl_calloc(1, sizeof *c);
    if (!c) {
        adl_fail_nomem(err, "the exchange between processes");
        return NULL;
    }
    c->exchange = exchange;
    c->capacity = parcels;
    c->most = most;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    find_relatives(c);
    if (take_memory(c, err) < 0) {
        adl_courier_free(c);
        return NULL;
    }
    c->has_thread = exchange->threads && pthread_create(&c->thread, NULL, courier_main, c) == 0;
    return c;
}

void adl_courier_free(struct adl_courier *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (c->has_thread)
        pthread_join(c->thread, NULL);
    for (int s = 0; s < SLOTS; s++)
        adl_free(c->slots[s].bytes);
    adl_free(c->loads);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    adl_free(c);
}

void adl_courier_begin(struct adl_courier *c)
{
    pthread_mutex_lock(&c->lock);
    c->added = c->done = c->completed = 0;
    c->receive_load = c->receive_child = 0;
    c->up = c->down = c->out = 0;
    pthread_mutex_unlock(&c->lock);
}

void adl_courier_add(struct adl_courier *c, const struct adl_parcel *parcel)
{
    pthread_mutex_lock(&c->lock);
    if (c->done == c->added)
        c->busy_since_ns = adl_clock_ns();
    c->loads[c->added++] = (struct load){.parcel = *parcel};
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

int adl_courier_wait(struct adl_courier *c, struct adl_error *err)
{
    uint64_t since_ns = adl_clock_ns();
    pthread_mutex_lock(&c->lock);
    while (!c->failed && c->done < c->added) {
        if (c->has_thread)
            pthread_cond_wait(&c->changed, &c->lock);
        else
            carry(c);
    }
    c->exposed_s += adl_clock_ms(since_ns, adl_clock_ns()) / 1000;
    int result = c->failed ? adl_fail(err, c->error.kind, "%s", c->error.message) : 0;
    pthread_mutex_unlock(&c->lock);
    return result;
}

struct adl_courier_stats adl_courier_stats(const struct adl_courier *c)
{
    return (struct adl_courier_stats){.busy_s = c->busy_s,
                                      .hidden_s = ADL_MAX(c->busy_s - c->exposed_s, 0),
                                      .sent_bytes = c->sent_bytes,
                                      .received_bytes = c->received_bytes};
}

size_t adl_courier_bytes(const struct adl_courier *c)
{
    return (size_t)c->capacity * sizeof *c->loads + (c->child_count > 0 ? SLOTS * c->most : 0);
}
