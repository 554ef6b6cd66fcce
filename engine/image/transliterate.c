/* Finds ASCII letters for a character: in tables for the alphabets, by its parts for a syllable of
 * Hangul.
 *
 * A precomposed syllable is U+AC00 + (initial * 21 + vowel) * 28 + final (The Unicode
 * Standard, 3.12), and its parts have letters of their own in the Revised Romanization of Korean
 * (2000). How neighbouring syllables sound together is not considered. */

#include "image/transliterate.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/size.h"

/* A word for each character, in order, each followed by a blank. "^" stands for nothing, "_" for a
 * blank, "~" for a character that has no letters. */

/* clang-format off */
/* Latin-1 and Latin Extended-A, U+00A0 to U+017F. */
static const char latin[] =
    "_ ! c GBP ? JPY | S ^ (c) a \" - ^ (R) - "
    "deg +- 2 3 ' u ? . ^ 1 o \" 1/4 1/2 3/4 ? "
    "A A A A A A AE C E E E E I I I I "
    "D N O O O O O x O U U U U Y Th ss "
    "a a a a a a ae c e e e e i i i i "
    "d n o o o o o / o u u u u y th y "
    "A a A a A a C c C c C c C c D d "
    "D d E e E e E e E e E e G g G g "
    "G g G g H h H h I i I i I i I i "
    "I i IJ ij J j K k q L l L l L l L "
    "l L l N n N n N n 'n N n O o O o "
    "O o OE oe R r R r R r S s S s S s "
    "S s T t T t T t U u U u U u U u "
    "U u U u W w Y y Y Z z Z z Z z s ";

/* Greek, by ELOT 743, U+0370 to U+03CF. */
static const char greek[] =
    "~ ~ ~ ~ ~ ~ ~ ~ ~ ~ ~ ~ ~ ~ ? ~ "
    "~ ~ ~ ~ ~ ~ A . E I I ~ O ~ Y O "
    "i A V G D E Z I Th I K L M N X O "
    "P R ~ S T Y F Ch Ps O I Y a e i i "
    "y a v g d e z i th i k l m n x o "
    "p r s s t y f ch ps o i y o y o ~ ";

/* Cyrillic, of several languages, U+0400 to U+045F. */
static const char cyrillic[] =
    "E Yo Dj Gj Ye Dz I Yi J Lj Nj C Kj I U Dz "
    "A B V G D E Zh Z I Y K L M N O P "
    "R S T U F Kh Ts Ch Sh Shch ^ Y ^ E Yu Ya "
    "a b v g d e zh z i y k l m n o p "
    "r s t u f kh ts ch sh shch ^ y ^ e yu ya "
    "e yo dj gj ye dz i yi j lj nj c kj i u dz ";

/* Latin Extended Additional: Vietnamese among others, U+1E00 to U+1EFF. */
static const char viet[] =
    "A a B b B b B b C c D d D d D d "
    "D d D d E e E e E e E e E e F f "
    "G g H h H h H h H h H h I i I i "
    "K k K k K k L l L l L l L l M m "
    "M m M m N n N n N n N n O o O o "
    "O o O o P p P p R r R r R r R r "
    "S s S s S s S s S s T t T t T t "
    "T t U u U u U u U u U u V v V v "
    "W w W w W w W w W w X x X x Y y "
    "Z z Z z Z z h t w y ~ ~ ~ ~ ~ ~ "
    "A a A a A a A a A a A a A a A a "
    "A a A a A a A a E e E e E e E e "
    "E e E e E e E e I i I i O o O o "
    "O o O o O o O o O o O o O o O o "
    "O o O o U u U u U u U u U u U u "
    "U u Y y Y y Y y Y y ~ ~ ~ ~ ~ ~ ";

/* punctuation and blanks, U+2000 to U+203F. */
static const char punctuation[] =
    "_ _ _ _ _ _ _ _ _ _ _ ^ ^ ^ ^ ^ "
    "- - - - - - ~ ~ ' ' ' ' \" \" \" \" "
    "~ ~ * ~ ~ ~ ... ~ ~ ~ ^ ^ ^ ^ ^ _ "
    "~ ~ ' \" ~ ~ ~ ~ ~ ' ' ~ ~ ~ ~ ~ ";

/* Initials, vowels and finals of Hangul. */
static const char initials[] = "g kk n d tt r m b pp s ss ^ j jj ch k t p h ";
static const char vowels[] = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i ";
static const char finals[] =
    "^ k k k n n n t l k m l l l p l m p p t t ng t t k t p t ";
/* clang-format on */

static const struct {
    uint32_t first, end;
    const char *words;
} alphabets[] = {
    {0x00a0, 0x0180, latin}, {0x0370, 0x03d0, greek},       {0x0400, 0x0460, cyrillic},
    {0x1e00, 0x1f00, viet},  {0x2000, 0x2040, punctuation},
};

enum { HANGUL = 0xac00, HANGUL_END = 0xd7a4, VOWELS = 21, FINALS = 28 };

/* A text of limited size. */
struct output {
    char *text;
    size_t length, size;
};

static void put(struct output *out, const char *letters, size_t count)
{
    for (size_t i = 0; i < count && out->length + 1 < out->size; i++)
        out->text[out->length++] = letters[i];
}

/* Appends word `number` of a table. */
static void put_word(struct output *out, const char *words, uint32_t number)
{
    while (number-- > 0)
        words = strchr(words, ' ') + 1;
    size_t length = strcspn(words, " ");
    if (length == 1 && *words == '^')
        return;
    if (length == 1 && (*words == '_' || *words == '~'))
        put(out, *words == '_' ? " " : ADL_NO_LETTER, 1);
    else
        put(out, words, length);
}

/* Reads a character of UTF-8; 0xfffd, and one byte further, where there is none. */
static uint32_t next_character(const unsigned char **text)
{
    const unsigned char *at = *text;
    int more = *at < 0x80   ? 0
               : *at < 0xc2 ? -1
               : *at < 0xe0 ? 1
               : *at < 0xf0 ? 2
               : *at < 0xf5 ? 3
                            : -1;
    uint32_t code = more > 0 ? *at & (0x3fu >> more) : *at;

    *text = at + 1;
    if (more < 0)
        return 0xfffd;
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0xfffd;
        code = code << 6 | (at[i] & 0x3f);
    }
    *text = at + 1 + more;
    return code;
}

static void put_character(struct output *out, uint32_t code)
{
    if (code >= 0x300 && code < 0x370) /* a mark that belongs to the letter before it */
        return;
    if (code >= HANGUL && code < HANGUL_END) {
        uint32_t syllable = code - HANGUL;
        put_word(out, initials, syllable / FINALS / VOWELS);
        put_word(out, vowels, syllable / FINALS % VOWELS);
        put_word(out, finals, syllable % FINALS);
        return;
    }
    for (size_t i = 0; i < ADL_COUNT(alphabets); i++) {
        if (code >= alphabets[i].first && code < alphabets[i].end) {
            put_word(out, alphabets[i].words, code - alphabets[i].first);
            return;
        }
    }
    put(out, ADL_NO_LETTER, 1);
}

void adl_transliterate(const char *text, char *out, size_t size)
{
    struct output output = {.text = out, .size = size};
    const unsigned char *next = (const unsigned char *)text;

    while (*next) {
        uint32_t code = next_character(&next);
        char letter = (char)code;
        if (code < 0x80)
            put(&output, code < ' ' || code == 0x7f ? ADL_NO_LETTER : &letter, 1);
        else
            put_character(&output, code);
    }
    out[output.length] = '\0';
}
