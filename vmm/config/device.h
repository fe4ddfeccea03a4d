/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_DEVICE_H
#define MOTE_CONFIG_DEVICE_H

/*
 * The configuration of a virtio device: what kind it is, and the plain values of
 * that kind, which stand in the device's own header.  A kind has a row in the
 * table below, in a file of its own here (device_disk.c, …): the option that adds
 * one, a schema of its values (schema.h), and what only the kind knows.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/block.h"
#include "devices/virtio/console.h"
#include "devices/virtio/entropy.h"
#include "devices/virtio/net.h"
#include "devices/virtio/vsock.h"
#include "vmm/base/error.h"
#include "vmm/config/pool.h"
#include "vmm/config/schema.h"

enum device_type {
    DEVICE_TYPE_DISK,
    DEVICE_TYPE_BALLOON,
    DEVICE_TYPE_ENTROPY,
    DEVICE_TYPE_NET,
    DEVICE_TYPE_CONSOLE,
    DEVICE_TYPE_VSOCK,
    DEVICE_TYPE_COUNT,
};

/* The schema of its type is of any member of the union: all stand at `disk`. */
struct device_config {
    enum device_type type;
    union {
        struct block_options disk;
        struct balloon_options balloon;
        struct entropy_options entropy;
        struct net_options net;
        struct virtio_console_options console; /* all --port options together; --console virtio alone has none */
        struct vsock_options vsock;
    };
};

struct settings;

struct device_row {
    const char *name;     /* in JSON, and the class's in devices/registry.h */
    const char *option;   /* of the command line, without dashes */
    const char *argument; /* as the help shows it */
    const char *help;
    const struct schema *schema;
    bool is_single;       /* a VM has at most one of it */

    /* Takes what the option says and no row of the schema does: its first part, and keys such as KNOWN, NULL at the end. */
    int (*read)(struct device_config *device, struct settings *settings, struct config_pool *pool,
                struct error *error);
    const char *const *known;

    /* Of one that each further option adds to: puts what MORE has behind what DEVICE has.  NULL: each is a device. */
    int (*merge)(struct device_config *device, const struct device_config *more, struct error *error);

    /* What no row says: whether the values fit together. */
    int (*validate)(const struct device_config *device, struct error *error);

    /* Whether one VM can have both, which are of this type; the message names DEVICE, given later than OTHER.  Optional. */
    int (*conflict)(const struct device_config *device, const struct device_config *other,
                    struct error *error);

    /*
     * Whether it reaches anything of the host: a file, a socket, the network.  A snapshot from elsewhere may have only
     * devices that do not.  Optional: none does.
     */
    bool (*reaches_host)(const struct device_config *device);

    /*
     * For one of many copies of a VM side by side, NAME's: gives DEVICE something of the copy's own wherever two cannot
     * have the same, and refuses what can be neither shared nor made up.  NAME NULL: the user gave these values for one
     * copy.  Optional, for a device that shares nothing.
     */
    int (*for_clone)(struct device_config *device, const char *name, struct config_pool *pool,
                     struct error *error);

    /* What messages call it: "--disk PATH", or several such, with ", " between. */
    void (*describe)(const struct device_config *device, FILE *stream);
};

/* Indexed by type. */
extern const struct device_row *const device_rows[DEVICE_TYPE_COUNT];

extern const struct device_row disk_row;
extern const struct device_row balloon_row;
extern const struct device_row entropy_row;
extern const struct device_row net_row;
extern const struct device_row console_row;
extern const struct device_row vsock_row;

/* What one of TYPE is of which nothing was said. */
void device_config_init(struct device_config *device, enum device_type type);

/* The plain values, for the device's class. */
void *device_config_options(struct device_config *device);
const void *device_config_values(const struct device_config *device);

/* The value TEXT of the type's option, into DEVICE, which has its defaults. */
int device_config_parse(struct device_config *device, const char *text, struct config_pool *pool,
                        struct error *error);

/* What one device alone tells to be wrong; vm_config_validate() calls it. */
int device_config_validate(const struct device_config *device, struct error *error);

bool device_config_equal(const struct device_config *one, const struct device_config *two);
int device_config_copy(struct device_config *copy, const struct device_config *device,
                       struct config_pool *pool);

#endif
