/* Finds processes that decode images in /proc. */

#include "support/helper_processes.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/serving/decode_helper.h"

static bool is_helper(pid_t pid)
{
    char path[64], words[100] = "";
    size_t length = 0;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "r");
    if (file)
        length = fread(words, 1, sizeof words - 1, file);
    if (file)
        fclose(file);
    const char *second = memchr(words, '\0', length);
    return second && !strcmp(second + 1, ADL_DECODE_HELPER);
}

int helper_processes(pid_t pid, pid_t found[MAX_HELPER_PROCESSES])
{
    char path[600];
    int count = 0, child;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    for (const struct dirent *entry; threads && (entry = readdir(threads));) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, entry->d_name);
        FILE *file = fopen(path, "r");
        while (file && count < MAX_HELPER_PROCESSES && fscanf(file, "%d", &child) == 1)
            if (is_helper(child))
                found[count++] = child;
        if (file)
            fclose(file);
    }
    if (threads)
        closedir(threads);
    return count;
}

bool helper_process_ended(pid_t pid)
{
    char path[64], text[300], state = ' ';
    long threads = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (int waited = 0; waited < 10000; waited += 10) {
        FILE *file = fopen(path, "r");
        if (!file)
            return true;
        const char *end = fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
        fclose(file);
        /* As long as it has another thread, one of a sanitizer say, its socket may be open. */
        if (end &&
            sscanf(end + 1,
                   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld",
                   &state, &threads) == 2 &&
            (state == 'Z' || state == 'X') && threads <= 1)
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}
