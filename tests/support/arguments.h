#ifndef TEST_ARGUMENTS_H
#define TEST_ARGUMENTS_H

/* What the test program was started with, for constructors that make another program of it. glibc
 * passes the arguments of main() to constructors; musl does not. */

/* Returns the number of arguments, the name of the program among them, and sets *argv to them; 0 if
 * they cannot be read. They are kept until the program ends. */
int test_arguments(char ***argv);

#endif
