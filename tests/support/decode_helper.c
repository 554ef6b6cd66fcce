/* Lets the test program be a helper that decodes images: a server starts its own program as one,
 * and in tests that is this one. */

#include <stdlib.h>
#include <string.h>

#include "server/serving/decode_helper.h"
#include "support/arguments.h"

__attribute__((constructor)) static void be_a_helper(void)
{
    char **argv;
    int argc = test_arguments(&argv);

    if (argc > 1 && !strcmp(argv[1], ADL_DECODE_HELPER))
        exit(adl_decode_helper_main(argc, argv));
}
