/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fetch_watch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* A signal handler has no context but this. */
static struct {
    uint8_t *page;
    fetch_hook hook;
    void *context;
    size_t offset; /* of the access that is being stepped */
    unsigned int counts[FETCH_WATCH_PAGE];
    struct sigaction segv_before, trap_before;
} watch;

#ifdef __x86_64__

#define TRAP_FLAG 0x100 /* EFLAGS.TF: a trap after the next instruction */

static void protect(int protection)
{
    if (mprotect(watch.page, FETCH_WATCH_PAGE, protection) < 0)
        abort();
}

static void access_begins(int number, siginfo_t *info, void *frame)
{
    ucontext_t *machine = frame;
    uint8_t *address = info->si_addr;

    (void)number;
    if (address < watch.page || address >= watch.page + FETCH_WATCH_PAGE) {
        /* A fault of the code under test: it happens again, and is reported. */
        sigaction(SIGSEGV, &watch.segv_before, NULL);
        return;
    }
    watch.offset = (size_t)(address - watch.page);
    watch.counts[watch.offset]++;
    protect(PROT_READ | PROT_WRITE);
    machine->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void access_ended(int number, siginfo_t *info, void *frame)
{
    ucontext_t *machine = frame;

    (void)number;
    (void)info;
    machine->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    if (watch.hook)
        watch.hook(watch.context, watch.page, watch.offset);
    protect(PROT_NONE);
}

bool fetch_watch_works(void)
{
    return true;
}

void fetch_watch_start(uint8_t *page, fetch_hook hook, void *context)
{
    struct sigaction segv = { .sa_sigaction = access_begins, .sa_flags = SA_SIGINFO };
    struct sigaction trap = { .sa_sigaction = access_ended, .sa_flags = SA_SIGINFO };

    watch.page = page;
    watch.hook = hook;
    watch.context = context;
    memset(watch.counts, 0, sizeof(watch.counts));
    sigaction(SIGSEGV, &segv, &watch.segv_before);
    sigaction(SIGTRAP, &trap, &watch.trap_before);
    protect(PROT_NONE);
}

void fetch_watch_stop(void)
{
    protect(PROT_READ | PROT_WRITE);
    sigaction(SIGSEGV, &watch.segv_before, NULL);
    sigaction(SIGTRAP, &watch.trap_before, NULL);
}

#else

bool fetch_watch_works(void)
{
    return false;
}

void fetch_watch_start(uint8_t *page, fetch_hook hook, void *context)
{
    (void)page;
    (void)hook;
    (void)context;
}

void fetch_watch_stop(void)
{
}

#endif

unsigned int fetch_watch_count(size_t offset)
{
    return watch.counts[offset];
}

unsigned int fetch_watch_most(void)
{
    unsigned int most = 0;

    for (size_t i = 0; i < FETCH_WATCH_PAGE; i++)
        if (watch.counts[i] > most)
            most = watch.counts[i];
    return most;
}
