/* The bytes of the files in asset_list.h, as they are and compressed, each between two symbols.
 * pack_assets.sh makes the files and the list, and the assembler is told
 * where they are. */

    .section .rodata

    .macro bytes symbol, file
    .global \symbol
    .hidden \symbol
    .balign 16
\symbol:
    .incbin "\file"
    .global \symbol\()_end
    .hidden \symbol\()_end
\symbol\()_end:
    .byte 0
    .endm

    .macro asset number
    bytes asset_\number, \number
    bytes asset_\number\()_gz, \number\().gz
    bytes asset_\number\()_br, \number\().br
    .endm

#define ASSET(number, path, type, policy, etag, etag_gz, etag_br) asset number;
#include "server/api/asset_list.h"

    .section .note.GNU-stack, "", @progbits
