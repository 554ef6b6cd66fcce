/* Finds out what the terminal can show; see terminal.h.
 *
 * A terminal is asked two things at once: for a picture of kitty's protocol that is not shown, and
 * for its attributes, which every terminal since the VT100 answers. So there is an answer to wait
 * for in any case, and what came before it says whether the first question was understood. */

#include "server/commands/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"

#define ANSWER_MS 200

const char *const adl_show_names[] = {"auto", "kitty", "sixel", "blocks", "256", "none", NULL};

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value;
}

static bool is_term(const char *name, const char *beginning)
{
    const char *value = getenv(name);
    return value && !strncmp(value, beginning, strlen(beginning));
}

bool adl_terminal_coloured(int fd)
{
    return isatty(fd) && !is_set("NO_COLOR") && !is_term("TERM", "dumb");
}

/* --- what it says ------------------------------------------------------------------- */

/* Returns whether the parameters of "ESC [ ? 6 2 ; 4 ; 2 2 c" have 4: sixel graphics. */
static bool has_sixel(const char *parameters, const char *end)
{
    while (parameters < end) {
        const char *next = memchr(parameters, ';', (size_t)(end - parameters));
        next = next ? next : end;
        if (next - parameters == 1 && *parameters == '4')
            return true;
        parameters = next + 1;
    }
    return false;
}

enum adl_show adl_terminal_read_answer(const char *text, size_t length, bool *complete)
{
    static const char kitty[] = "\033_Gi=31;OK", attributes[] = "\033[?";
    const bool is_kitty = memmem(text, length, kitty, sizeof kitty - 1) != NULL;
    const char *end = text + length, *at = memmem(text, length, attributes, sizeof attributes - 1);
    const char *last = at ? memchr(at, 'c', (size_t)(end - at)) : NULL;

    *complete = last != NULL;
    if (is_kitty)
        return ADL_SHOW_KITTY;
    return last && has_sixel(at + 3, last) ? ADL_SHOW_SIXEL : ADL_SHOW_NONE;
}

/* Asks the terminal, in which nothing else is typed or shown meanwhile. */
static enum adl_show ask(int fd)
{
    static const char query[] = "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\\033[c";
    const uint64_t begin = adl_clock_ns();
    struct termios before, raw;
    enum adl_show found = ADL_SHOW_NONE;
    bool complete = false;
    char answer[512];
    size_t length = 0;

    if (tcgetattr(fd, &before) < 0)
        return ADL_SHOW_NONE;
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(fd, TCSANOW, &raw) < 0)
        return ADL_SHOW_NONE;
    if (write(fd, query, sizeof query - 1) == (ssize_t)sizeof query - 1)
        while (!complete && length < sizeof answer) {
            const double left = ANSWER_MS - adl_clock_ms(begin, adl_clock_ns());
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            if (left <= 0 || poll(&wait, 1, (int)left + 1) <= 0)
                break;
            const ssize_t got = read(fd, answer + length, sizeof answer - length);
            if (got <= 0)
                break;
            length += (size_t)got;
            found = adl_terminal_read_answer(answer, length, &complete);
        }
    tcsetattr(fd, TCSANOW, &before);
    return found;
}

/* Returns what the environment promises, without asking. */
static enum adl_show hinted(void)
{
    /* A terminal within a terminal passes no pictures on. */
    if (is_set("TMUX") || is_term("TERM", "screen") || is_term("TERM", "tmux"))
        return ADL_SHOW_BLOCKS;
    if (is_set("KITTY_WINDOW_ID") || is_term("TERM", "xterm-kitty") ||
        is_term("TERM", "xterm-ghostty") || is_term("TERM_PROGRAM", "ghostty") ||
        is_term("TERM_PROGRAM", "WezTerm"))
        return ADL_SHOW_KITTY;
    return ADL_SHOW_AUTO;
}

/* Returns the half blocks with the colours that the terminal has. */
static enum adl_show blocks(void)
{
    const char *term = getenv("TERM");

    if (is_term("COLORTERM", "truecolor") || is_term("COLORTERM", "24bit") ||
        (term && strstr(term, "direct")))
        return ADL_SHOW_BLOCKS;
    return ADL_SHOW_256;
}

void adl_terminal_probe(struct adl_terminal *terminal)
{
    struct winsize size = {0};
    int fd;

    *terminal = (struct adl_terminal){
        .best = ADL_SHOW_NONE, .columns = 80, .rows = 24, .cell_w = 8, .cell_h = 16};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        terminal->columns = size.ws_col;
        terminal->rows = size.ws_row;
        if (size.ws_xpixel / size.ws_col > 0 && size.ws_ypixel / size.ws_row > 0) {
            terminal->cell_w = size.ws_xpixel / size.ws_col;
            terminal->cell_h = size.ws_ypixel / size.ws_row;
        }
    }
    if (!adl_terminal_coloured(STDOUT_FILENO))
        return;
    terminal->best = hinted();
    if (terminal->best == ADL_SHOW_AUTO) {
        fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
        terminal->best = fd < 0 ? ADL_SHOW_NONE : ask(fd);
        if (fd >= 0)
            close(fd);
    }
    if (terminal->best == ADL_SHOW_NONE || terminal->best == ADL_SHOW_BLOCKS)
        terminal->best = blocks();
}

/* --- text ------------------------------------------------------------------------------- */

void adl_terminal_text(const char *text, struct adl_str *out)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        /* In UTF-8, U+0080 to U+009F are C2 80 to C2 9F. */
        const bool high = at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F;
        if (*at < 0x20 || *at == 0x7F || high)
            adl_str_puts(out, "?");
        else
            adl_str_append(out, (const char *)at, 1);
        at += high;
    }
}
