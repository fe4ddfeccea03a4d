/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that attacks with two processors and all queues at once, and knows
 * what must come of it: see hostile_trial.h, and hostile.c for the attacks on
 * one queue.  A line for each trial, as hostile.c has them.
 *
 *   only=WORD      the trials of the devices of this kind, or of this name
 */
#include "smp.h"

#include "hostile_trial.h"

#include "hostile_balloon.h"
#include "hostile_block.h"
#include "hostile_events.h"
#include "hostile_host.h"
#include "hostile_net.h"
#include "hostile_net_control.h"
#include "hostile_net_send.h"
#include "hostile_races.h"
#include "hostile_registers.h"
#include "hostile_restore.h"
#include "hostile_shared.h"
#include "hostile_status.h"
#include "hostile_vsock_credit.h"
#include "hostile_vsock_order.h"

void other_cpu_main(void)
{
    other_cpu.there = true;
    for (;;) {
        while (!other_cpu.job)
            __asm__ volatile("pause");
        other_cpu.job(other_cpu.v);
        other_cpu.job = NULL;
    }
}

#define RATED_DISK 3 /* the last one of tests/hostile/host */

/* What is of the device's own kind alone. */
static void walk_kind(struct checks *checks, struct virtio *v, unsigned int number)
{
    switch (v->id) {
    case ID_BLOCK:
        WALK(checks, v, number, block_trials);
        if (number == 0)
            WALK(checks, v, number, resize_trials);
        break;
    case ID_NET:
        WALK(checks, v, number, net_receive_trials);
        WALK(checks, v, number, net_send_trials);
        WALK(checks, v, number, net_control_trials);
        break;
    case ID_VSOCK:
        WALK(checks, v, number, vsock_order_trials);
        WALK(checks, v, number, vsock_credit_trials);
        break;
    case ID_BALLOON:
        WALK(checks, v, number, balloon_trials);
        WALK(checks, v, number, target_trials);
        break;
    case ID_CONSOLE:
        WALK(checks, v, number, wrap_trials);
        break;
    }
}

static void walk_device(struct checks *checks, struct virtio *v, unsigned int number)
{
    tell_trial(checks, v, number, "a valid request", works(v) ? NULL : "it does not work");
    if (v->id == ID_BLOCK && is_read_only(v)) {
        WALK(checks, v, number, read_only_trials);
        return;
    }
    if (v->id == ID_BLOCK && number == RATED_DISK) {
        WALK(checks, v, number, rate_trials);
        return;
    }
    WALK(checks, v, number, register_trials);
    WALK(checks, v, number, status_trials);
    WALK(checks, v, number, event_trials);
    if (queue_count(v) > 1)
        WALK(checks, v, number, shared_trials);
    WALK(checks, v, number, race_trials);
    walk_kind(checks, v, number);
    WALK(checks, v, number, host_trials);
}

static unsigned int find_devices(struct guest_device *devices)
{
    unsigned int numbers[32] = { 0 }, count = 0;

    for (uint64_t window = 0; window < 16 && count < DEVICES_MOST; window++) {
        struct virtio v = { .base = VIRTIO_WINDOWS + window * VIRTIO_WINDOW_SIZE };

        if (get_register(&v, REG_MAGIC) != 0x74726976)
            continue;
        v.id = get_register(&v, REG_DEVICE_ID);
        v.queue = good_queue(v.id);
        devices[count++] = (struct guest_device){ v, numbers[v.id % 32]++ };
    }
    return count;
}

void payload_main(int protocol, const void *argument)
{
    struct boot_info info = boot_info(protocol, argument);
    struct checks checks = { .passed = 0 };
    struct guest_device devices[DEVICES_MOST];
    unsigned int count;

    map_memory();
    only = option(&info, "only");
    turn_apic_on();
    start_others();
    while (!other_cpu.there)
        __asm__ volatile("pause");
    print("started\n");
    count = find_devices(devices);
    for (unsigned int i = 0; i < count; i++)
        walk_device(&checks, &devices[i].v, devices[i].number);
    if (!only || option_is(only, "restored"))
        restored_trials(&checks, devices, count);
    print("hostile_smp: ");
    print_checks(&checks);
    power_off();
}
