/* Quotes untrusted names, and finds the known name nearest to a mistyped one. */

#include "base/name.h"

#include <string.h>

#include "base/edit.h"
#include "base/size.h"

struct adl_name_quoted adl_name_quote(const char *name, size_t length)
{
    struct adl_name_quoted quoted;
    size_t room = sizeof quoted.text - 3, half = (room - 3) / 2, used = 0;

    quoted.text[used++] = '"';
    for (size_t i = 0; i < length; i++) {
        if (length > room && i == half) {
            memcpy(quoted.text + used, "...", 3);
            used += 3;
            i = length - half;
        }
        quoted.text[used++] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
    }
    quoted.text[used++] = '"';
    quoted.text[used] = '\0';
    return quoted;
}

struct adl_name_short adl_name_shorten(const char *text)
{
    struct adl_name_short result;
    size_t length = strlen(text), end = sizeof result.text - sizeof "...";

    if (length < sizeof result.text) {
        memcpy(result.text, text, length + 1);
        return result;
    }
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(result.text, text, end);
    memcpy(result.text + end, "...", sizeof "...");
    return result;
}

void adl_nearest_offer(struct adl_nearest *nearest, const char *candidate)
{
    size_t length = strlen(nearest->word);
    size_t distance = adl_edit_distance(nearest->word, length, candidate, strlen(candidate));
    size_t allowed = length < 4 ? 1 : length < 9 ? 2 : 3;

    /* A word that is the beginning of a candidate counts as one mistake, however many letters
     * are missing. */
    if (length >= 2 && !strncmp(nearest->word, candidate, length))
        distance = ADL_MIN(distance, (size_t)1);
    if (distance <= allowed && (!nearest->best || distance < nearest->distance)) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}
