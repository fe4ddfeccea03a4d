/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: the clock is read by the system call, as the C library does where the kernel's vDSO cannot read it
 * (clocks hpet and acpi_pm, a TSC that the kernel calls unstable).
 */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    return (int)syscall(SYS_clock_gettime, clock, now);
}
