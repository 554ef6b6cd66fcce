/* Writes comma-separated values; see csv_out.h. */

#include "server/tasks/csv_out.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/file.h"

void adl_csv_put_text(struct adl_str *csv, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        adl_str_puts(csv, text);
        return;
    }
    adl_str_puts(csv, "\"");
    for (; *text; text++)
        adl_str_printf(csv, *text == '"' ? "\"\"" : "%c", *text);
    adl_str_puts(csv, "\"");
}

int adl_csv_write(struct adl_str *csv, const char *path, struct adl_error *err)
{
    const struct adl_file_piece piece = {csv->data, csv->length};
    int result = -1;

    if (csv->failed)
        adl_fail_nomem(err, "a CSV file");
    else if (strcmp(path, "-") != 0)
        result = adl_file_write(path, &piece, 1, err);
    else if (fwrite(csv->data, 1, csv->length, stdout) == csv->length)
        result = 0;
    else
        adl_fail(err, ADL_ERR_IO, "cannot write to standard output");
    adl_str_release(csv);
    return result;
}
