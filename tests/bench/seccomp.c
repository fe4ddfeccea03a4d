/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp [ROUNDS]: what it takes to have a thread's list of system calls as a program: Mote's translation of its
 * tables against libseccomp's of the same rules, in microseconds (medians), with the programs' lengths; and what the
 * kernel takes to install one, which both pay.
 *
 * Built by `make build/bench/seccomp` alone: Mote itself does not need libseccomp.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vmm/monitor/arch/arch.h"
#include "vmm/jail/lists.h"

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static size_t by_mote(const struct filter_list *list)
{
    struct sock_filter code[FILTER_LENGTH_MAX];

    return filter_translate(list, NULL, arch_audit_number, SECCOMP_RET_TRAP, code);
}

static size_t count_rules(const struct filter_list *list)
{
    size_t count = 0;

    while (filter_rule_at(list, count))
        count++;
    return count;
}

static void add_rule(scmp_filter_ctx context, const struct filter_rule *rule)
{
    struct scmp_arg_cmp compare[FILTER_CONDITIONS_MAX];
    unsigned int count = 0;

    for (; count < FILTER_CONDITIONS_MAX && rule->conditions[count].argument; count++) {
        const struct filter_condition *condition = &rule->conditions[count];
        uint32_t mask = condition->mask ? condition->mask : UINT32_MAX;

        compare[count] = SCMP_CMP(condition->argument - 1u, SCMP_CMP_MASKED_EQ, mask,
                                  condition->mask ? condition->value : (uint32_t)getpid());
    }
    seccomp_rule_add_array(context, rule->refusal ? SCMP_ACT_ERRNO((uint32_t)rule->refusal)
                                                  : SCMP_ACT_ALLOW,
                           rule->call, count, compare);
}

static size_t by_libseccomp(const struct filter_list *list)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_TRAP);
    int fd = memfd_create("program", 0);
    off_t length;

    for (size_t i = 0; i < count_rules(list); i++)
        add_rule(context, filter_rule_at(list, i));
    seccomp_export_bpf(context, fd);
    length = lseek(fd, 0, SEEK_END);
    close(fd);
    seccomp_release(context);
    return length > 0 ? (size_t)length / sizeof(struct sock_filter) : 0;
}

static size_t install(const struct filter_list *list)
{
    struct sock_filter code[FILTER_LENGTH_MAX];
    struct sock_fprog program = { .filter = code };

    program.len = (unsigned short)filter_translate(list, NULL, arch_audit_number, SECCOMP_RET_ALLOW, code);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? program.len : 0;
}

/* Each try in a process of its own, as at a start: nothing is warm. */
static double median(size_t (*make)(const struct filter_list *), const struct filter_list *list,
                     size_t rounds)
{
    double *values = calloc(rounds, sizeof(*values)), result;

    for (size_t i = 0; i < rounds; i++) {
        int ends[2];

        if (pipe(ends) < 0)
            exit(1);
        if (fork() == 0) {
            double start = now_us(), took;

            make(list);
            took = now_us() - start;
            _exit(write(ends[1], &took, sizeof(took)) != sizeof(took));
        }
        if (read(ends[0], &values[i], sizeof(values[i])) != sizeof(values[i]))
            exit(1);
        wait(NULL);
        close(ends[0]);
        close(ends[1]);
    }
    qsort(values, rounds, sizeof(*values), by_value);
    result = values[rounds / 2];
    free(values);
    return result;
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 200;

    printf("%-10s %10s %10s %12s %10s\n", "us", "rules", "Mote", "libseccomp", "install");
    for (size_t kind = 0; kind < SANDBOX_THREAD_COUNT; kind++) {
        const struct filter_list *list = &filter_lists[kind];

        printf("%-10s %10zu %10.1f %12.1f %10.1f   (%zu and %zu instructions)\n", list->name, count_rules(list),
               median(by_mote, list, rounds), median(by_libseccomp, list, rounds),
               median(install, list, rounds), by_mote(list), by_libseccomp(list));
    }
    return 0;
}
