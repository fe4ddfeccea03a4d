/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A monitor that obeys its guest: the whole of Mote, linked so that port writes
 * of guest/payloads/acts.c reach this file, which then tries an act on a thread
 * of the kind asked for, through whatever of the sandbox is in force.
 *
 *   MOTE_ACTS_LIST=1         prints the acts' numbers, whether layers other than
 *                            seccomp deny them (1, 0, or - for what is no call), names; of
 *                            those that are about monitors' lists alone "m", the kinds of
 *                            thread that may do it, and those that are refused
 *   MOTE_ACTS_VICTIM=PID     a process of the host's to attack
 *   MOTE_ACTS_NO_SECCOMP=1   without the lists of system calls
 *
 * Says "act: allowed" or "act: denied: ERRNO" on standard error, if it lives.
 */
#include "tests/sandbox/acts.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "vmm/monitor/bus.h"
#include "vmm/jail/sandbox.h"

#define ACT_PORT 0x5e0
#define THREAD_PORT 0x5e2
#define DONE_PORT 0x5e3
#define NO_THREAD SANDBOX_THREAD_COUNT
#define POLL_MS 5
/* Among the first that the monitor opens; an ioctl is refused by its number, whatever it is. */
#define KVM_FD 5

static _Atomic int wanted_thread = NO_THREAD;
static _Atomic unsigned int act_number;
static _Atomic bool done;
static _Thread_local int own_kind = SANDBOX_CONTROL;

void __real_bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length);
void __real_bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length);
int __real_epoll_wait(int fd, struct epoll_event *events, int count, int timeout);
void __real_sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind);
void __wrap_bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length);
void __wrap_bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout);
void __wrap_sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind);

static void act_if_asked(void)
{
    int expected = own_kind;

    if (!atomic_compare_exchange_strong(&wanted_thread, &expected, NO_THREAD))
        return;
    acts_try(act_number, KVM_FD);
    done = true;
}

void __wrap_bus_write(struct bus *bus, uint64_t address, const uint8_t *bytes, size_t length)
{
    if (address == ACT_PORT && length == 2) {
        act_number = bytes[0] | (unsigned int)bytes[1] << 8;
    } else if (address == THREAD_PORT && length == 1) {
        wanted_thread = bytes[0];
        act_if_asked();
    } else {
        __real_bus_write(bus, address, bytes, length);
    }
}

void __wrap_bus_read(struct bus *bus, uint64_t address, uint8_t *bytes, size_t length)
{
    if (address == DONE_PORT && length == 1)
        bytes[0] = done;
    else
        __real_bus_read(bus, address, bytes, length);
}

/* The two loops look every few milliseconds. */
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int timeout)
{
    int result;

    do {
        act_if_asked();
        result = __real_epoll_wait(fd, events, count, POLL_MS);
    } while (result == 0 && timeout < 0);
    return result;
}

void __wrap_sandbox_thread(struct sandbox *sandbox, enum sandbox_thread kind)
{
    own_kind = (int)kind;
    acts_prepare();
    if (!getenv("MOTE_ACTS_NO_SECCOMP"))
        __real_sandbox_thread(sandbox, kind);
}
