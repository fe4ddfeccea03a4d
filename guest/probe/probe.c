/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job that `mote bench` gives every contender, as process of the host, in a
 * container or as a VM's init: prints one line and ends.
 *
 *   mote-probe        prints "mote-probe NANOSECONDS", and ends with status 0
 *   mote-probe idle   prints it and idles until its input ends
 *   mote-probe reset  prints it and resets the machine, whose init it is
 *   mote-probe rest   prints it and idles for ever, as an init
 *
 * The number is CLOCK_MONOTONIC: containers share it with whoever started them.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int say(void)
{
    struct timespec now;
    char line[64];
    int length;

    clock_gettime(CLOCK_MONOTONIC, &now);
    length = snprintf(line, sizeof(line), "mote-probe %lld\n",
                      (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    return write(STDOUT_FILENO, line, (size_t)length) == length ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "once";
    int status = say();
    char bytes[64];

    if (strcmp(how, "idle") == 0) {
        while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
            continue;
    } else if (strcmp(how, "rest") == 0) {
        for (;;)
            pause();
    } else if (strcmp(how, "reset") == 0) {
        tcdrain(STDOUT_FILENO); /* what the serial line still holds would be lost */
        reboot(RB_AUTOBOOT);
    }
    return status;
}
