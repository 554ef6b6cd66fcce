#ifndef ADL_SERVER_SERVING_DECODE_HELPER_H
#define ADL_SERVER_SERVING_DECODE_HELPER_H

/* A helper process: decodes images for a server (decoders.h), in a sandbox (sandbox.h). */

/* The word by which the program becomes one, in place of a subcommand; not for people. It is
 * followed by the bytes of the shared memory, the bytes that the helper may take, and perhaps one
 * of the names below. */
#define ADL_DECODE_HELPER "decode-helper"

/* The descriptors with which it is started. */
#define ADL_DECODE_HELPER_SOCKET 3
#define ADL_DECODE_HELPER_MEMORY 4

/* Runs it; returns the exit status. It ends when the server closes its socket. With a further word
 * it enters the sandbox, tries what the word says and ends: 0 means that the sandbox let it. For
 * tests: "nothing", "thread", "open", "socket", "fork", "exec", "kill", "ptrace", "executable",
 * "make-executable", "write", "send-elsewhere", "prctl", "memory". */
int adl_decode_helper_main(int argc, char *const *argv);

/* Decodes what comes over the socket, with the shared memory, until the other side closes it. For
 * tests, and for the function above. */
void adl_decode_helper_serve(int fd, unsigned char *shared, unsigned long shared_bytes);

#endif
