#ifndef ADL_SERVER_TASKS_BENEATH_H
#define ADL_SERVER_TASKS_BENEATH_H

/* Opens what a name that came from outside means in a folder, and nothing outside of it. */

/* Opens a relative path below an open folder, with the flags of open(). Symbolic links that stay in
 * the folder are followed where the kernel can tell (Linux 5.6); before that, none is. Returns -1
 * and sets errno: EXDEV or ELOOP where a link leads out of the folder. */
int adl_open_beneath(int folder, const char *path, int flags);

/* The same without following any link, with ELOOP or ENOTDIR where a part is one. */
int adl_open_without_links(int folder, const char *path, int flags);

#endif
