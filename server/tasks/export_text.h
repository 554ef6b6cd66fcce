#ifndef ADL_SERVER_TASKS_EXPORT_TEXT_H
#define ADL_SERVER_TASKS_EXPORT_TEXT_H

/* Texts and numbers as the exports of boxes write them. Each function gives the bytes that its
 * counterpart of the web page gives (web/exports.js, web/zip.js). Texts are UTF-8; running out of
 * memory is remembered in the buffer. */

#include "base/str.h"

/* Appends the text as a JSON string, with its quotes, as JSON.stringify() does. */
void adl_export_put_json(struct adl_str *out, const char *text);
/* Appends the text as a double-quoted YAML scalar: a JSON string that also escapes the controls
 * and noncharacters that YAML 1.2 does not let stand (its production c-printable). */
void adl_export_put_yaml(struct adl_str *out, const char *text);
/* Appends the text for an XML element or attribute. Characters that XML 1.0 cannot hold, even
 * escaped, become "?". */
void adl_export_put_xml(struct adl_str *out, const char *text);
/* Appends a field of a CSV line. A spreadsheet takes a text that begins with one of = + - @ for a
 * formula, even in quotes, so an apostrophe goes before it. */
void adl_export_put_csv(struct adl_str *out, const char *text);

/* Append a finite number >= 0 with six decimals, ties rounded up; `short` leaves out trailing
 * zeros. */
void adl_export_put_fixed(struct adl_str *out, double value);
void adl_export_put_short(struct adl_str *out, double value);

/* Appends `name` as a path below a directory: no root, no drive, no step upwards, no control
 * characters, backslashes as slashes; "_" if nothing is left. Without the extension of its last
 * part. Colons stay unless they make a drive: labels are found by the names of their pictures. */
void adl_export_put_stem(struct adl_str *out, const char *name);

#endif
