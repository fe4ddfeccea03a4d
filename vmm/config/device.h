/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_CONFIG_DEVICE_H
#define MOTE_CONFIG_DEVICE_H

/*
 * The configuration of a virtio device: what kind it is, and the plain values of
 * that kind, which stand in the device's own header.  A kind has a line in the list
 * below, and a row in a file of its own here (device_disk.c, …): the option that adds
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

/*
 * Of each kind: its type, its name, the struct of its values, its class.  The name is its row's (disk_row),
 * its member's below and its own in JSON.  Snapshots have the type's number: a new kind comes last.
 */
#define DEVICE_TYPES(X)                                                                                \
    X(DEVICE_TYPE_DISK, disk, struct block_options, block_class)                                       \
    X(DEVICE_TYPE_BALLOON, balloon, struct balloon_options, balloon_class)                             \
    X(DEVICE_TYPE_ENTROPY, entropy, struct entropy_options, entropy_class)                             \
    X(DEVICE_TYPE_NET, net, struct net_options, net_class)                                             \
    X(DEVICE_TYPE_CONSOLE, console, struct virtio_console_options, virtio_console_class) /* all --port */ \
    X(DEVICE_TYPE_VSOCK, vsock, struct vsock_options, virtio_vsock_class)

#define DEVICE_TYPE(type, name, options, class) type,
enum device_type { DEVICE_TYPES(DEVICE_TYPE) DEVICE_TYPE_COUNT };
#undef DEVICE_TYPE

/* The schema of its type is of any member of the union: all stand at `disk`. */
struct device_config {
    enum device_type type;
#define DEVICE_MEMBER(type, name, options, class) options name;
    union {
        DEVICE_TYPES(DEVICE_MEMBER)
    };
#undef DEVICE_MEMBER
};

struct settings;
struct virtio_device_class;

struct device_row {
    const char *name;     /* in JSON */
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

#define DEVICE_ROW(type, name, options, class) extern const struct device_row name##_row;
DEVICE_TYPES(DEVICE_ROW)
#undef DEVICE_ROW

/* Indexed by type, as the classes are, which the monitor makes a VM of. */
extern const struct device_row *const device_rows[DEVICE_TYPE_COUNT];
extern const struct virtio_device_class *const device_classes[DEVICE_TYPE_COUNT];

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
