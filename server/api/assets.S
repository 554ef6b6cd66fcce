/* The bytes of the files in asset_list.h, each between two symbols. */

    .section .rodata

    .macro asset symbol, file
    .global asset_\symbol
    .hidden asset_\symbol
    .balign 16
asset_\symbol:
    .incbin "\file"
    .global asset_\symbol\()_end
    .hidden asset_\symbol\()_end
asset_\symbol\()_end:
    .byte 0
    .endm

#define ASSET(symbol, path, type, file) asset symbol, file;
#include "server/api/asset_list.h"

    .section .note.GNU-stack, "", @progbits
