/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_PAYLOAD_HOSTILE_RESTORE_H
#define MOTE_PAYLOAD_HOSTILE_RESTORE_H

/*
 * All devices at once in states that no driver leaves them in: then the VM is
 * saved, ended and restored, and each goes on as it must.
 */

#include "hostile_host.h"
#include "hostile_vsock.h"

#define DEVICES_MOST 10

/* Rings of the queue that requests go to, for each device. */
static struct { struct rings rings; } kept[DEVICES_MOST] __attribute__((aligned(4096)));
static struct rings kept_events __attribute__((aligned(4096)));

/* Devices of which there are two differ by NUMBER, from 0 on. */
struct guest_device {
    struct virtio v;
    unsigned int number;
};

static void keep(const struct guest_device *device, unsigned int at)
{
    kept[at].rings = rings;
    set_up(&device->v, device->v.queue, &kept[at].rings);
}

static void leave_in_an_odd_state(const struct guest_device *device, unsigned int at)
{
    const struct virtio *v = &device->v;

    agree(v, RING_FEATURES);
    switch (v->id) {
    case ID_BLOCK: /* the first with requests in flight, the second broken */
        if (device->number == 0)
            requests(v, 0, 16);
        else
            jump(&rings);
        keep(device, at);
        drive(v);
        notify(v);
        break;
    case ID_NET: /* an index that nobody told it of */
        jump(&rings);
        keep(device, at);
        drive(v);
        break;
    case ID_VSOCK: /* a buffer for events, and one for packets */
        keep(device, at);
        describe_in(&kept_events, 0, RECEIVE_AREA, 4, DESC_WRITE, 0);
        describe_in(&kept_events, 1, RECEIVE_AREA + 64, 4, DESC_WRITE, 0);
        offer_in(&kept_events, 0);
        offer_in(&kept_events, 1);
        set_up(v, VSOCK_EVENT_QUEUE, &kept_events);
        drive(v);
        break;
    case ID_ENTROPY: /* FAILED, with a request that nobody told it of */
        request(v);
        keep(device, at);
        drive(v);
        set_register(v, REG_STATUS, RUNNING | FAILED);
        break;
    case ID_BALLOON: /* not running yet, a queue ready, an interrupt event */
        keep(device, at);
        break;
    default: /* features of a page that does not exist */
        set_register(v, REG_STATUS, 0);
        set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER);
        set_register(v, REG_DRIVER_FEATURES_SEL, 1);
        set_register(v, REG_DRIVER_FEATURES, FEATURE_VERSION_1);
        set_register(v, REG_DRIVER_FEATURES_SEL, 7);
        set_register(v, REG_DRIVER_FEATURES, 1);
        break;
    }
}

static const char *goes_on_from_its_odd_state(const struct guest_device *device, unsigned int at)
{
    const struct virtio *v = &device->v;
    const struct rings *of = &kept[at].rings;

    switch (v->id) {
    case ID_BLOCK:
        if (device->number == 0) {
            EXPECT(await_in(v, of, 16, WORK_MS), "requests in flight were not answered once each");
            EXPECT_IS(status_of(v), RUNNING, "another status");
            break;
        }
        EXPECT_IS(status_of(v), RUNNING | NEEDS_RESET, "what was broken is not");
        EXPECT_IS(of->used.index, 0, "a broken queue used something");
        break;
    case ID_NET:
        EXPECT(gives_up(v), "an index that no driver could have reached is followed");
        break;
    case ID_VSOCK:
        EXPECT(await_in(v, &kept_events, 1, WORK_MS), "no event tells of the transport's reset");
        EXPECT_IS(*(volatile uint32_t *)RECEIVE_AREA, 0, "another event");
        EXPECT_IS(kept_events.used.ring[0].length, 4, "another length");
        for (unsigned int i = 0; i < 100; i++)
            kick_queue(v, VSOCK_EVENT_QUEUE);
        pass(QUIET_MS * 1000);
        EXPECT_IS(kept_events.used.index, 1, "the event came twice");
        break;
    case ID_ENTROPY:
        EXPECT_IS(status_of(v), RUNNING | FAILED, "another status");
        EXPECT(of->used.index <= 1, "a request was answered twice");
        break;
    case ID_BALLOON:
        EXPECT_IS(status_of(v), ACKNOWLEDGE | DRIVER | FEATURES_OK, "another status");
        set_register(v, REG_QUEUE_SEL, v->queue);
        EXPECT_IS(get_register(v, REG_QUEUE_READY), 1, "the queue is not ready");
        EXPECT_IS(of->used.index, 0, "a buffer was used before DRIVER_OK");
        break;
    default:
        set_register(v, REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        EXPECT_IS(status_of(v), ACKNOWLEDGE | DRIVER, "features that do not exist are taken");
        break;
    }
    return NULL;
}

static void restored_trials(struct checks *checks, struct guest_device *devices, unsigned int count)
{
    bool done;

    for (unsigned int i = 0; i < count; i++)
        leave_in_an_odd_state(&devices[i], i);
    done = host_does("restore");
    for (unsigned int i = 0; i < count; i++) {
        const char *failure = done ? goes_on_from_its_odd_state(&devices[i], i) : "the host could not restore it";

        if (!failure && !works(&devices[i].v))
            failure = "no valid request works after it";
        tell_trial(checks, &devices[i].v, devices[i].number, "restored_from_an_odd_state", failure);
    }
}

#endif
