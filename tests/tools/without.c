/* SPDX-License-Identifier: Apache-2.0 */
/*
 * without CALL[=ERRNO]… -- COMMAND…: runs a command on a kernel that lacks these system calls (ENOSYS), or refuses them
 * (EPERM, by =1), as old kernels and containers do.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS_MAX 8

static const struct {
    const char *name;
    int number;
} calls[] = {
    { "close_range", SYS_close_range }, { "prlimit64", SYS_prlimit64 }, { "unshare", SYS_unshare },
    { "pivot_root", SYS_pivot_root },   { "setns", SYS_setns },         { "capset", SYS_capset },
    { "landlock_create_ruleset", SYS_landlock_create_ruleset },         { "seccomp", SYS_seccomp },
    { "setresgid", SYS_setresgid },     { "clone3", SYS_clone3 },
};

static int number_of(const char *word)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        if (strncmp(word, calls[i].name, strcspn(word, "=")) == 0 && calls[i].name[strcspn(word, "=")] == '\0')
            return calls[i].number;
    fprintf(stderr, "without: %s: is not known here\n", word);
    exit(125);
}

int main(int count, char **words)
{
    struct sock_filter code[2 * CALLS_MAX + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    struct sock_fprog program = { .len = 1, .filter = code };
    int at = 1;

    for (; at < count && at <= CALLS_MAX && strcmp(words[at], "--") != 0; at++) {
        const char *number = strchr(words[at], '=');
        unsigned int answer = number ? (unsigned int)atoi(number + 1) : ENOSYS;

        code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                           (unsigned int)number_of(words[at]), 0, 1);
        code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer);
    }
    code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    if (at + 1 >= count || strcmp(words[at], "--") != 0) {
        fprintf(stderr, "usage: without CALL[=ERRNO]... -- COMMAND...\n");
        return 125;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        perror("without: seccomp");
        return 125;
    }
    execvp(words[at + 1], words + at + 1);
    perror(words[at + 1]);
    return 127;
}
