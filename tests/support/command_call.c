#include "support/command_call.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/scratch.h"

#define MAX_WORDS 20

int command_call(const struct adl_command *command, const char *const *words, const char *out,
                 struct adl_error *err)
{
    char *argv[MAX_WORDS] = {(char *)command->name};
    int argc = 1, result = -1;
    struct adl_options options = {0};
    void *values = adl_calloc(1, command->settings_bytes);
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    fflush(stdout);
    int kept = dup(STDOUT_FILENO),
        fd = open(scratch_path("%s", out), O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDOUT_FILENO);
    if (adl_options_parse(&options, command, argc, argv, values, err) == 0)
        result = command->run(values, &options, err);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(fd);
    adl_options_release(&options);
    adl_free(values);
    return result;
}
