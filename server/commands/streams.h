#ifndef ADL_SERVER_COMMANDS_STREAMS_H
#define ADL_SERVER_COMMANDS_STREAMS_H

/* Checks standard input, output and error at the program's start and end. */

/* Opens placeholders for descriptors 0 to 2 that are closed, so that no file opened
 * later gets such a number and is mistaken for a standard stream. Reading from or
 * writing to a placeholder fails, as on a closed descriptor. To be called before any other file
 * is opened. Returns 0, or -1. */
int adl_streams_begin(void);

/* Flushes standard output and returns the exit status: `status`, or 1, after a message, if it is
 * 0 and some output could not be written. */
int adl_streams_end(int status);

/* Flushes standard output and discards output that cannot be written, so that adl_streams_end()
 * no longer counts it as a failure. Returns NULL, or the reason why output was lost. */
const char *adl_streams_flush_or_forget(void);

#endif
