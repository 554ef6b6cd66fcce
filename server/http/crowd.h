#ifndef ADL_SERVER_HTTP_CROWD_H
#define ADL_SERVER_HTTP_CROWD_H

/* Counts open connections by the address of their client. Not thread-safe: the owner has a lock. */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Addresses whose hash is the same are counted together. */
#define ADL_CROWD_BUCKETS 4096

struct adl_crowd {
    uint64_t seed; /* random, so that nobody can choose an address to be counted with another's */
    unsigned counts[ADL_CROWD_BUCKETS];
    size_t bytes[ADL_CROWD_BUCKETS]; /* of bodies in memory */
};

/* Returns the bucket of an address: of an IPv6 address that of its network of 64 bits, of all
 * others than IP addresses 0. */
unsigned adl_crowd_bucket(const struct adl_crowd *crowd, const struct sockaddr *address);

/* The same for an address as text; 0 for what is none. */
unsigned adl_crowd_bucket_of(const struct adl_crowd *crowd, const char *address);

#endif
