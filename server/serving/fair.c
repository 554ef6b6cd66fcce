/* Accounts of processor time; see fair.h.
 *
 * DESIGN
 *
 * This is start-time fair queueing (Goyal, Vin, Cheng, 1996) on three levels: each account has a
 * virtual time, the milliseconds that it was charged, and the least one goes first. It is what
 * deficit round robin approximates with a quantum; here the quantum is one piece of work, and work
 * whose time turns out differently is simply charged the difference.
 *
 * An account that was idle must not save up time: when it enters again, its virtual time is raised
 * to that of the work that began last, less CREDIT_MS, so that a client that sends one request
 * after the other does not lose its turn in between. An account keeps its time while it is idle, or
 * a client could forget what it has used by reconnecting. There are more accounts than entries, and
 * an idle one is reused when a new one is needed; losing the debt of one that long ago was served
 * is harmless.
 *
 * The lanes share the machine equally while both have work, however many clients each has: ten
 * clients with large images together get no more than those with small ones. */

#include "server/serving/fair.h"

#include "base/mem.h"
#include "base/size.h"

const char *const adl_lane_names[ADL_LANE_COUNT] = {"small", "large"};

#define CREDIT_MS 20
/* Large work may be this far ahead of small work before it waits: two pieces of work. */
#define SLACK_MS 2
/* For those who are refused, with a connection or an address each: so many are remembered until
 * they are served. */
#define SPARE_ACCOUNTS 4096

struct account {
    uint64_t key;
    double used_ms;  /* virtual time */
    double begun_ms; /* of a client: that of its connection whose work began last */
    size_t entries;
    int next; /* in its bucket; -1: none */
};

struct lane {
    double used_ms;
    double begun_ms; /* virtual time of the client whose work began last */
    size_t entries;
};

struct adl_fair {
    struct lane lanes[ADL_LANE_COUNT];
    struct account *accounts;
    int *buckets; /* [count] first account, -1: none */
    int count;
    int hand; /* where the search for an idle account goes on */
};

struct adl_fair *adl_fair_create(size_t most, struct adl_error *err)
{
    struct adl_fair *fair = adl_calloc(1, sizeof *fair);
    size_t count = 2 * most + SPARE_ACCOUNTS;

    if (fair) {
        fair->accounts = adl_calloc(count, sizeof *fair->accounts);
        fair->buckets = adl_malloc(count, sizeof *fair->buckets);
    }
    if (!fair || !fair->accounts || !fair->buckets) {
        adl_fair_free(fair);
        adl_fail_nomem(err, "the queue");
        return NULL;
    }
    fair->count = (int)count;
    /* Each account begins in the bucket of its index, with a key of that bucket. */
    for (int i = 0; i < fair->count; i++) {
        fair->accounts[i].key = (uint64_t)i;
        fair->accounts[i].next = -1;
        fair->buckets[i] = i;
    }
    return fair;
}

void adl_fair_free(struct adl_fair *fair)
{
    if (!fair)
        return;
    adl_free(fair->accounts);
    adl_free(fair->buckets);
    adl_free(fair);
}

static int *fair_bucket(const struct adl_fair *fair, uint64_t key)
{
    return &fair->buckets[key % (uint64_t)fair->count];
}

/* Takes an idle account out of its bucket. There is one, because the accounts are more than twice
 * the entries. */
static int fair_take_idle(struct adl_fair *fair)
{
    int *link;

    while (fair->accounts[fair->hand].entries > 0)
        fair->hand = (fair->hand + 1) % fair->count;
    link = fair_bucket(fair, fair->accounts[fair->hand].key);
    while (*link != fair->hand)
        link = &fair->accounts[*link].next;
    *link = fair->accounts[fair->hand].next;
    return fair->hand;
}

static int fair_find(const struct adl_fair *fair, uint64_t key)
{
    int index = *fair_bucket(fair, key);

    while (index >= 0 && fair->accounts[index].key != key)
        index = fair->accounts[index].next;
    return index;
}

/* Returns the account of a key. A new one starts level with the work that began last. */
static int fair_account(struct adl_fair *fair, uint64_t key, double begun_ms)
{
    int index = fair_find(fair, key);

    if (index < 0) {
        index = fair_take_idle(fair);
        fair->hand = (fair->hand + 1) % fair->count;
        fair->accounts[index] = (struct account){.key = key, .next = *fair_bucket(fair, key)};
        *fair_bucket(fair, key) = index;
        fair->accounts[index].used_ms = begun_ms;
    }
    return index;
}

/* Adds an entry to the account of a key. */
static int fair_enter_account(struct adl_fair *fair, uint64_t key, double begun_ms)
{
    int index = fair_account(fair, key, begun_ms);
    struct account *account = &fair->accounts[index];

    if (account->entries++ == 0)
        account->used_ms = ADL_MAX(account->used_ms, begun_ms - CREDIT_MS);
    return index;
}

/* Mixes the bits of two numbers; the constants are those of splitmix64 (Steele, Lea, Flood, 2014).
 */
static uint64_t fair_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t fair_client_key(enum adl_lane lane, uint64_t client)
{
    return fair_mix(client, (uint64_t)lane);
}

void adl_fair_enter(struct adl_fair *fair, enum adl_lane lane, struct adl_sender sender,
                    struct adl_fair_place *place)
{
    struct lane *own = &fair->lanes[lane], *other = &fair->lanes[!lane];
    uint64_t key = fair_client_key(lane, sender.client);

    if (own->entries++ == 0)
        own->used_ms = ADL_MAX(own->used_ms, other->used_ms - CREDIT_MS);
    place->lane = lane;
    place->client = fair_enter_account(fair, key, own->begun_ms);
    place->connection = fair_enter_account(fair, fair_mix(key, sender.connection),
                                           fair->accounts[place->client].begun_ms);
}

void adl_fair_leave(struct adl_fair *fair, const struct adl_fair_place *place)
{
    fair->lanes[place->lane].entries--;
    fair->accounts[place->client].entries--;
    fair->accounts[place->connection].entries--;
}

void adl_fair_charge(struct adl_fair *fair, const struct adl_fair_place *place, double ms)
{
    fair->lanes[place->lane].used_ms += ms;
    fair->accounts[place->client].used_ms += ms;
    fair->accounts[place->connection].used_ms += ms;
}

bool adl_fair_before(const struct adl_fair *fair, const struct adl_fair_place *a,
                     const struct adl_fair_place *b)
{
    if (a->lane != b->lane)
        return fair->lanes[a->lane].used_ms < fair->lanes[b->lane].used_ms;
    if (a->client != b->client)
        return fair->accounts[a->client].used_ms < fair->accounts[b->client].used_ms;
    return fair->accounts[a->connection].used_ms < fair->accounts[b->connection].used_ms;
}

void adl_fair_begin(struct adl_fair *fair, const struct adl_fair_place *place)
{
    struct account *client = &fair->accounts[place->client];
    struct lane *lane = &fair->lanes[place->lane];

    lane->begun_ms = ADL_MAX(lane->begun_ms, client->used_ms);
    client->begun_ms = ADL_MAX(client->begun_ms, fair->accounts[place->connection].used_ms);
}

enum adl_fair_lag adl_fair_lag(struct adl_fair *fair, enum adl_lane lane, struct adl_sender sender)
{
    const double begun_ms = fair->lanes[lane].begun_ms;
    const uint64_t key = fair_client_key(lane, sender.client);
    const int client = fair_account(fair, key, begun_ms);
    const double begun_connection_ms = fair->accounts[client].begun_ms;
    const bool client_behind = fair->accounts[client].used_ms < begun_ms - CREDIT_MS;
    const int connection =
        fair_account(fair, fair_mix(key, sender.connection), begun_connection_ms);

    if (client_behind)
        return ADL_FAIR_BEHIND_CLIENT;
    return fair->accounts[connection].used_ms < begun_connection_ms - CREDIT_MS
               ? ADL_FAIR_BEHIND_CONNECTION
               : ADL_FAIR_LEVEL;
}

bool adl_fair_large_waits(const struct adl_fair *fair)
{
    return fair->lanes[ADL_LANE_SMALL].entries > 0 &&
           fair->lanes[ADL_LANE_LARGE].used_ms > fair->lanes[ADL_LANE_SMALL].used_ms + SLACK_MS;
}

size_t adl_fair_entries(const struct adl_fair *fair, uint64_t client)
{
    size_t count = 0;

    for (int lane = 0; lane < ADL_LANE_COUNT; lane++) {
        int index = fair_find(fair, fair_client_key((enum adl_lane)lane, client));
        count += index >= 0 ? fair->accounts[index].entries : 0;
    }
    return count;
}
