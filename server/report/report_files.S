/* What every report holds, each between two symbols: the style sheet, the script and the sections of the
 * page /training that it draws into. pack_assets.sh makes the files from web/. */

    .section .rodata

    .macro bytes symbol, file
    .global \symbol
    .hidden \symbol
\symbol:
    .incbin "\file"
    .global \symbol\()_end
    .hidden \symbol\()_end
\symbol\()_end:
    .byte 0
    .endm

    bytes adl_report_style, report.css
    bytes adl_report_script, report.js
    bytes adl_report_frame, gallery.html

    .section .note.GNU-stack, "", @progbits
