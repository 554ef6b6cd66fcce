/* adl-server: weakly supervised object localization as one program. This file
 * handles what comes before a subcommand, --help and --version, and dispatches to
 * the table in commands/subcommands.h. */

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/name.h"
#include "kernels/blas.h"
#include "server/commands/command.h"
#include "server/commands/libraries.h"
#include "server/commands/streams.h"
#include "server/commands/subcommands.h"
#include "server/serving/decode_helper.h"
#include "server/training/mpi.h"

static void print_help(void)
{
    printf("Usage: adl-server SUBCOMMAND [options]\n\n"
           "Finds what an image shows and where, with networks trained on class labels alone.\n\n"
           "Subcommands:\n");
    for (size_t i = 0; adl_commands[i]; i++)
        printf("  %-12s%s\n", adl_commands[i]->name, adl_commands[i]->summary);
    printf("\nRun adl-server help SUBCOMMAND for the options of a subcommand, and\n"
           "adl-server --version for the versions of the program and its libraries.\n");
}

static int print_version(void)
{
    struct adl_error err = {0};
    enum adl_isa isa;
    struct adl_library libraries[ADL_LIBRARIES];
    const size_t count = adl_libraries(libraries);

    if (adl_isa_choose(ADL_ISA_AUTO, &isa, &err) < 0) {
        fprintf(stderr, "adl-server: %s\n", err.message);
        return adl_exit_status(err.kind);
    }
    printf("adl-server %s\n", ADL_VERSION);
    printf("compiler       %s\n",
#if defined(__clang__)
           "clang " __clang_version__
#else
           "gcc " __VERSION__
#endif
    );
    printf("processor      %s\n", adl_cpu_name());
    printf("cpu path       %s\n", adl_isa_name(isa));
    printf("blas           %s, %s\n", adl_blas_version(), adl_blas_threading());
    printf("mpi            %s\n", adl_mpi_found());
    for (size_t i = 0; i < count; i++)
        printf("%-13s  %s\n", libraries[i].name, libraries[i].version);
    return 0;
}

static int unknown_subcommand(const char *name)
{
    struct adl_nearest nearest = {.word = name};

    for (size_t i = 0; adl_commands[i]; i++)
        adl_nearest_offer(&nearest, adl_commands[i]->name);
    if (nearest.best)
        fprintf(stderr, "adl-server: unknown subcommand \"%s\"; did you mean %s?\n",
                ADL_SHORT(name), nearest.best);
    else
        fprintf(stderr, "adl-server: unknown subcommand \"%s\"; see adl-server --help\n",
                ADL_SHORT(name));
    return 2;
}

/* `help NAME` is NAME --help. */
static int help(int argc, char **argv)
{
    static char option[] = "--help";
    char *words[] = {argc > 2 ? argv[2] : NULL, option, NULL};
    const struct adl_command *command;

    if (argc < 3 || !strcmp(words[0], "help") || !strcmp(words[0], option)) {
        print_help();
        return 0;
    }
    if (argc > 3) {
        fprintf(stderr, "adl-server: help takes one subcommand, such as adl-server help %.60s\n",
                words[0]);
        return 2;
    }
    command = adl_command_find(words[0]);
    return command ? adl_command_main(command, adl_commands, 2, words)
                   : unknown_subcommand(words[0]);
}

static int run(int argc, char **argv)
{
    const struct adl_command *command;

    if (argc < 2) {
        fprintf(stderr, "adl-server: no subcommand given; see adl-server --help\n");
        return 2;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help();
        return 0;
    }
    if (!strcmp(argv[1], "help"))
        return help(argc, argv);
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
        return print_version();
    command = adl_command_find(argv[1]);
    return command ? adl_command_main(command, adl_commands, argc - 1, argv + 1)
                   : unknown_subcommand(argv[1]);
}

int main(int argc, char **argv)
{
    /* Before anything is opened. */
    if (argc > 1 && !strcmp(argv[1], ADL_DECODE_HELPER))
        return adl_decode_helper_main(argc, argv);
    return adl_streams_begin() < 0 ? 1 : adl_streams_end(run(argc, argv));
}
