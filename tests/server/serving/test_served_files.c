/* server/serving/model_file: names that a request gives lead to regular files in the folder, and to
 * nothing else. */

#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "server/serving/model_file.h"
#include "support/scratch.h"

static void names(void)
{
    static const char *const good[] = {"a.safetensors", "a/b.safetensors", "a b.safetensors",
                                       "v1..2.safetensors", "\xc3\xa4.safetensors"};
    static const char *const bad[] = {"",
                                      ".safetensors",
                                      "a",
                                      "a.pth",
                                      "a.safetensors/",
                                      "/a.safetensors",
                                      "//a.safetensors",
                                      "../a.safetensors",
                                      "b/../a.safetensors",
                                      "b/..",
                                      "./a.safetensors",
                                      "b/./a.safetensors",
                                      "b//a.safetensors",
                                      ".hidden.safetensors",
                                      "b/.hidden.safetensors",
                                      ".git/a.safetensors",
                                      "a\n.safetensors",
                                      "a\x7f.safetensors",
                                      "b\\a.safetensors"};
    char text[ADL_LIMIT_MODEL_FILE_BYTES + 2];

    for (size_t i = 0; i < ADL_COUNT(good); i++)
        if (!adl_model_file_name_valid(good[i]))
            TEST_FAIL("\"%s\" is refused", good[i]);
    for (size_t i = 0; i < ADL_COUNT(bad); i++)
        if (adl_model_file_name_valid(bad[i]))
            TEST_FAIL("\"%s\" is accepted", bad[i]);
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 13, ".safetensors", 13);
    CU_ASSERT(!adl_model_file_name_valid(text));
    CU_ASSERT(adl_model_file_name_valid(text + 1));
}

static void make_folder(void)
{
    static const char *const folders[] = {"models", "models/sub", "models/dir.safetensors",
                                          "outside", NULL};

    scratch_open("served_files", folders);
    scratch_append("models/a.safetensors", "abc");
    scratch_append("models/sub/b.safetensors", "b");
    scratch_append("outside/secret.safetensors", "secret");
    mkfifo(scratch_path("models/fifo.safetensors"), 0666);
    (void)!symlink("a.safetensors", scratch_path("models/inside.safetensors"));
    (void)!symlink("../outside/secret.safetensors", scratch_path("models/out.safetensors"));
    (void)!symlink(scratch_path("outside/secret.safetensors"),
                   scratch_path("models/absolute.safetensors"));
    (void)!symlink("../outside", scratch_path("models/way"));
    (void)!symlink("sub", scratch_path("models/by"));
    (void)!symlink("loop.safetensors", scratch_path("models/loop.safetensors"));
}

/* The names would be refused before; here the folder alone has to hold. Returns the number of cases
 * that are not as they should be; `links`: those that stay in the folder are followed. */
static int try_names(bool links)
{
    const enum adl_error_kind linked = links ? ADL_ERR_NONE : ADL_ERR_NOT_FOUND;
    const struct {
        const char *name;
        enum adl_error_kind kind;
    } cases[] = {
        {"a.safetensors", ADL_ERR_NONE},
        {"sub/b.safetensors", ADL_ERR_NONE},
        {"inside.safetensors", linked},
        {"by/b.safetensors", linked},
        {"nope.safetensors", ADL_ERR_NOT_FOUND},
        {"a.safetensors/x.safetensors", ADL_ERR_NOT_FOUND},
        {"out.safetensors", ADL_ERR_NOT_FOUND},
        {"absolute.safetensors", ADL_ERR_NOT_FOUND},
        {"way/secret.safetensors", ADL_ERR_NOT_FOUND},
        {"loop.safetensors", ADL_ERR_NOT_FOUND},
        {"dir.safetensors", ADL_ERR_FORMAT},
        {"fifo.safetensors", ADL_ERR_FORMAT},
    };
    struct adl_file_stamp stamp;
    struct adl_error err = {0};
    int folder, fd, wrong = 0;

    if (adl_model_folder_open(scratch_path("models"), &folder, &err) < 0)
        return 100;
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        adl_error_clear(&err);
        int result = adl_model_file_open(folder, cases[i].name, &fd, &stamp, &err);
        if (err.kind != cases[i].kind) {
            fprintf(stderr, "\"%s\": %s\n", cases[i].name, result == 0 ? "opened" : err.message);
            wrong++;
        }
        if (result == 0)
            close(fd);
    }
    close(folder);
    return wrong;
}

static void nothing_leads_out(void)
{
    static const char *const names[] = {"../outside/secret.safetensors",
                                        "sub/../../outside/secret.safetensors"};
    struct adl_file_stamp stamp;
    struct adl_error err = {0};
    int folder, fd;

    make_folder();
    CU_ASSERT_EQUAL(try_names(true), 0);
    /* Names with ".." are refused before; the kernel does so again. */
    TEST_OK(adl_model_folder_open(scratch_path("models"), &folder, &err), &err);
    for (size_t i = 0; i < ADL_COUNT(names); i++)
        CU_ASSERT(adl_model_file_open(folder, names[i], &fd, &stamp, &err) < 0);
    close(folder);
    adl_error_clear(&err);
    CU_ASSERT(adl_model_folder_open(scratch_path("models/a.safetensors"), &folder, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOT_FOUND);
}

/* Makes openat2() fail as on a kernel that lacks it. */
static bool take_openat2_away(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ADL_COUNT(filter), filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* The same on an old kernel, in a process of its own. */
static void nothing_leads_out_without_openat2(void)
{
    int status = -1;

    make_folder();
    pid_t pid = fork();
    if (pid == 0)
        _exit(take_openat2_away() ? try_names(false) : 99);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT(WIFEXITED(status));
    if (WEXITSTATUS(status) != 99) /* no filters here */
        CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

/* The digest is that of sha256sum, and a state differs from the next one. */
static void versions_and_states(void)
{
    char version[ADL_MODEL_VERSION_DIGITS + 1];
    atomic_bool stop = false;
    struct adl_file_stamp first, second;
    struct adl_error err = {0};
    int fd;

    make_folder();
    unlink(scratch_path("models/new.safetensors"));
    scratch_append("models/new.safetensors", "abc");
    TEST_OK(adl_model_file_open(-1, scratch_path("models/new.safetensors"), &fd, &first, &err),
            &err);
    TEST_OK(adl_model_file_version(fd, &stop, version, &err), &err);
    CU_ASSERT_STRING_EQUAL(version, "ba7816bf8f01"); /* SHA-256 of "abc", FIPS 180-4 */
    second = adl_model_file_look(-1, scratch_path("models/new.safetensors"));
    CU_ASSERT(adl_file_stamp_equal(&first, &second));
    scratch_append("models/new.safetensors", "d");
    TEST_OK(adl_model_file_stamp(fd, &second, &err), &err);
    CU_ASSERT(!adl_file_stamp_equal(&first, &second));
    stop = true;
    CU_ASSERT(adl_model_file_version(fd, &stop, version, &err) < 0);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_BUSY);
    close(fd);
    second = adl_model_file_look(-1, scratch_path("models/fifo.safetensors"));
    CU_ASSERT_EQUAL(second.inode, 0);
    second = adl_model_file_look(-1, scratch_path("models/nope.safetensors"));
    CU_ASSERT_EQUAL(second.inode, 0);
}

TEST_SUITE(served_files, {"names", names}, {"nothing leads out", nothing_leads_out},
           {"nothing leads out without openat2", nothing_leads_out_without_openat2},
           {"versions and states", versions_and_states});
