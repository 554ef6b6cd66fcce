#ifndef ADL_BASE_NAME_H
#define ADL_BASE_NAME_H

/* Untrusted names in messages: quoted safely, or followed by the known name that was probably
 * meant. */

#include <stddef.h>

/* A name quoted so that it is safe in a one-line message: in double quotes, each byte that is
 * not printable ASCII replaced by '?', the middle of a long name replaced by "...". Returned
 * by value, to be used as adl_name_quote(...).text within one expression. */
struct adl_name_quoted {
    char text[100];
};
struct adl_name_quoted adl_name_quote(const char *name, size_t length);

/* A value that the user wrote, for a message that repeats it: whole, or its beginning and "...",
 * without splitting a character of UTF-8. To be used as ADL_SHORT(value) within one expression. */
struct adl_name_short {
    char text[64];
};
struct adl_name_short adl_name_shorten(const char *text);
#define ADL_SHORT(value) (adl_name_shorten(value).text)

/* Finds the candidate nearest to a mistyped word. Set `word`, zero the rest, offer
 * each candidate, then read `best`: NULL when none is near enough to be suggested.
 * A candidate is near when the edit distance (base/edit.h) is at most 1, 2 or 3 for
 * words of up to 3, up to 8, and more letters, or when the word is its beginning. Of
 * equally near candidates the first one offered is kept. */
struct adl_nearest {
    const char *word;
    const char *best;
    size_t distance;
};
void adl_nearest_offer(struct adl_nearest *nearest, const char *candidate);

#endif
