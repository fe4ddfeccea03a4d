/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_H
#define MOTE_PAYLOAD_HOSTILE_H

/* An attack, its verdict, and what a valid request of each device is. */

#include "virtio.h"

#define BUFFER(index) ((uint64_t)buffers[index])
#define TABLE ((uint64_t)table)
#define GIVE_UP_MS 300
#define WORK_MS 2000
#define TAKE_MS 50 /* for the device to take up what may not be answered */

enum verdict {
    GIVES_UP, /* the device must ask for its reset */
    LIVES,    /* whatever it does: a reset must bring it back */
};

struct attack {
    const char *name;
    void (*act)(struct virtio *v);
    enum verdict verdict;
};

#define A(function, verdict) { #function, function, verdict }

static inline const char *device_name(uint32_t id)
{
    static const char *const names[] = {
        [ID_NET] = "net", [ID_BLOCK] = "disk", [ID_CONSOLE] = "console", [ID_ENTROPY] = "entropy",
        [ID_BALLOON] = "balloon", [ID_VSOCK] = "vsock",
    };

    return id < sizeof(names) / sizeof(names[0]) && names[id] ? names[id] : "device";
}

static inline void tell(struct checks *checks, const struct virtio *v, const char *attack,
                        const char *failure)
{
    print(failure ? "FAIL " : "ok ");
    print(device_name(v->id));
    print(": ");
    print(attack);
    if (failure) {
        print(": ");
        print(failure);
        checks->failed++;
    } else {
        checks->passed++;
    }
    print("\n");
}

/* The queue whose requests the device answers at once. */
static inline uint32_t good_queue(uint32_t id)
{
    return id == ID_NET || id == ID_VSOCK || id == ID_CONSOLE ? 1 : 0;
}

/* A valid request of descriptors 0 to 2. */
static inline void describe_request(const struct virtio *v)
{
    uint32_t *words = (uint32_t *)buffers[0];

    clear(buffers[0], 64);
    switch (v->id) {
    case ID_BLOCK: /* reads the first sector */
        describe(0, BUFFER(0), 16, DESC_NEXT, 1);
        describe(1, BUFFER(1), 512, DESC_NEXT | DESC_WRITE, 2);
        describe(2, BUFFER(2), 1, DESC_WRITE, 0);
        buffers[2][0] = 0xff;
        break;
    case ID_NET: /* a frame to nobody */
        describe(0, BUFFER(0), 12 + 60, 0, 0);
        break;
    case ID_VSOCK: /* a reset of a connection that is not there */
        words[0] = 3;
        words[2] = 2;
        words[7] = 1 | 3u << 16;
        describe(0, BUFFER(0), 44, 0, 0);
        break;
    case ID_BALLOON: /* a page of nobody's */
        words[0] = 0x1800;
        describe(0, BUFFER(0), 4, 0, 0);
        break;
    case ID_CONSOLE:
        buffers[0][0] = '.';
        describe(0, BUFFER(0), 1, 0, 0);
        break;
    default:
        describe(0, BUFFER(1), 64, DESC_WRITE, 0);
        break;
    }
}

static inline void request(const struct virtio *v)
{
    describe_request(v);
    offer(0);
}

/* Whether the device, after a reset, does a valid request. */
static inline bool works(const struct virtio *v)
{
    start(v);
    request(v);
    notify(v);
    return await(v, 1, WORK_MS) && (v->id != ID_BLOCK || buffers[2][0] == 0);
}

#endif
