/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/random.h>

#include "guest/init/init.h"

#define CARD "eth0"

/*
 * From the host's generator, so that no job waits for the guest's to wake up.  A
 * guest that goes on from a template has a generator that is awake, with what all
 * of its kin know: RNDRESEEDCRNG has it take the seed now, not in a minute.  One
 * that still slept (ENODATA) takes it as it wakes.
 */
void machine_seed(const uint8_t *seed, size_t length)
{
    struct {
        struct rand_pool_info head;
        uint8_t bytes[32];
    } pool = { .head.entropy_count = (int)length * 8, .head.buf_size = (int)length };
    int fd;

    if (length > sizeof(pool.bytes))
        return;
    memcpy(pool.bytes, seed, length);
    fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 ||
        (ioctl(fd, RNDRESEEDCRNG) < 0 && errno != ENODATA))
        dprintf(STDERR_FILENO, "mote-init: random numbers: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
}

/*
 * The platform's clock tells the time in whole seconds, or as a template's guest
 * counted it; a host that is slow to run us leaves either behind.
 */
void machine_set_clock(uint64_t nanoseconds)
{
    struct timespec now = {
        (time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000),
    };

    if (nanoseconds > 0 && clock_settime(CLOCK_REALTIME, &now) < 0)
        dprintf(STDERR_FILENO, "mote-init: the clock: %s\n", strerror(errno));
}

/*
 * The kernel looks twice a second for memory that could lie closer together,
 * idle or not, and each look is several exits.  Whoever needs such memory still
 * has it moved then.  Kernels before 5.9 and small ones know nothing of this.
 */
void machine_let_idle(void)
{
    int fd = open("/proc/sys/vm/compaction_proactiveness", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, "0", 1) != 1)
        dprintf(STDERR_FILENO, "mote-init: compaction: %s\n", strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void set_name(struct ifreq *request, const char *name)
{
    *request = (struct ifreq){ .ifr_flags = 0 };
    strcpy(request->ifr_name, name);
}

static bool set_up(int fd, const char *name)
{
    struct ifreq request;

    set_name(&request, name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static struct sockaddr *put_address(struct sockaddr *place, uint32_t address)
{
    struct sockaddr_in value = { .sin_family = AF_INET, .sin_addr.s_addr = address };

    memcpy(place, &value, sizeof(value));
    return place;
}

static bool set_address(int fd, unsigned long what, uint32_t address)
{
    struct ifreq request;

    set_name(&request, CARD);
    put_address(&request.ifr_addr, address);
    return ioctl(fd, what, &request) == 0;
}

static bool set_gateway(int fd, uint32_t gateway)
{
    struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

    put_address(&route.rt_dst, 0);
    put_address(&route.rt_genmask, 0);
    put_address(&route.rt_gateway, gateway);
    return ioctl(fd, SIOCADDRT, &route) == 0;
}

static void set_up_card(int fd, const struct run_job *head)
{
    uint32_t length = head->prefix_length;
    uint32_t mask = length == 0 || length > 32 ? 0 : htonl(UINT32_MAX << (32 - length));

    if (!set_address(fd, SIOCSIFADDR, head->address) ||
        !set_address(fd, SIOCSIFNETMASK, mask) || !set_up(fd, CARD) ||
        !set_gateway(fd, head->gateway))
        init_failed(errno, "the network card " CARD);
}

/* The user's own file there, where the image may have a link that leads elsewhere. */
static bool is_volume(const struct job *job, const char *path)
{
    for (uint32_t i = 0; i < job->head.volumes; i++)
        if (job->volumes[i].file && strcmp(job->volumes[i].target, path) == 0)
            return true;
    return false;
}

void machine_set_up(const struct job *job)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (sethostname(job->host_name, strlen(job->host_name)) < 0)
        init_failed(errno, "host name %s", job->host_name);
    mounts_make_directory("/etc", 0755);
    etc_names("/etc", job->host_name, job->head.address);
    if (job->head.address && !is_volume(job, "/etc/resolv.conf"))
        etc_resolver("/etc", job->head.name_server, job->resolver);
    if (fd < 0 && job->head.address)
        init_failed(errno, "the network");
    if (fd < 0)
        return;
    if (!set_up(fd, "lo"))
        dprintf(STDERR_FILENO, "mote-init: loopback: %s\n", strerror(errno));
    if (job->head.address)
        set_up_card(fd, &job->head);
    close(fd);
}
