/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job that `mote bench` gives every contender, as process of the host, in a
 * container or as a VM's init: prints one line and ends.
 *
 *   mote-probe [WHAT [FILE]] [reset]
 *
 * WHAT is
 *   once            print "mote-probe NANOSECONDS" and end with status 0
 *   idle            print it and idle until the input ends
 *   rest            print it and idle for ever, as an init
 *   block           measure FILE (/mote-data, for an init /dev/vda), print
 *                   "mote-probe NANOSECONDS FIGURE FIGURE"
 *   network-PEER    the same with the network, see probe.h
 *
 * With "reset" it is the machine's init and ends it.  The number is
 * CLOCK_MONOTONIC: containers share it with whoever started them.
 */
#include "guest/probe/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define NETWORK "network-"

int64_t probe_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool probe_failed(const char *what)
{
    dprintf(STDERR_FILENO, "mote-probe: %s: %s\n", what, strerror(errno));
    return false;
}

/* FIGURES may be NULL. */
static int say(const struct figures *figures)
{
    char line[128];
    int length = snprintf(line, sizeof(line), "mote-probe %lld", (long long)probe_now());

    if (figures)
        length += snprintf(line + length, sizeof(line) - (size_t)length, " %.3f %.3f",
                           figures->first, figures->second);
    line[length++] = '\n';
    return write(STDOUT_FILENO, line, (size_t)length) == length ? 0 : 1;
}

/* A VM's init has nothing yet but its own file. */
static const char *own_disk(void)
{
    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    return "/dev/vda";
}

static int measure(const char *what, const char *file, bool is_init)
{
    struct figures figures;
    bool done = strcmp(what, "block") == 0
                    ? probe_block(is_init ? own_disk() : file ? file : "/mote-data", &figures)
                    : probe_network(what + strlen(NETWORK), is_init, &figures);

    return done ? say(&figures) : 1;
}

static void idle(void)
{
    char bytes[64];

    while (read(STDIN_FILENO, bytes, sizeof(bytes)) > 0)
        continue;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "once";
    bool is_init = argc > 1 && strcmp(argv[argc - 1], "reset") == 0;
    bool measures = strcmp(what, "block") == 0 || strncmp(what, NETWORK, strlen(NETWORK)) == 0;
    int status = measures ? measure(what, argv[2], is_init) : say(NULL);

    if (strcmp(what, "idle") == 0)
        idle();
    while (strcmp(what, "rest") == 0)
        pause();
    if (is_init) {
        tcdrain(STDOUT_FILENO); /* what the serial line still holds would be lost */
        reboot(RB_AUTOBOOT);
    }
    return status;
}
