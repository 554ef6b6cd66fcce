#ifndef ADL_SERVER_COMMANDS_STREAMS_H
#define ADL_SERVER_COMMANDS_STREAMS_H

/* Standard input, output and error as the program finds and leaves them. */

/* Takes the numbers 0 to 2 where they are closed, so that nothing that is opened
 * later is mistaken for a standard stream; reading from or writing to these fails
 * as on a closed one. Before anything else is opened. 0, or -1. */
int adl_streams_begin(void);

/* Writes out what is left of standard output; the exit status: `status`, or 1
 * after a message when that was 0 and not all could be written. */
int adl_streams_end(int status);

/* Writes out standard output and forgets what cannot be written, so that it
 * counts as a failure no more. NULL, or why some of it is lost. */
const char *adl_streams_flush_or_forget(void);

#endif
