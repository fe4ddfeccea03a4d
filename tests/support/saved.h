/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_SAVED_H
#define MOTE_SAVED_H

/*
 * Devices saved to memory and loaded from it, and what an attacker does to the
 * bytes between: any field is changed, and the checksums fit again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/device.h"
#include "tests/support/fake_driver.h"

struct saved {
    uint8_t *bytes; /* saved_release() frees them */
    size_t length;
};

/* As the monitor does it: drained and saved under the lock. */
int device_try_save(struct device *device, struct saved *saved, struct error *error);
/* Fails the test where that fails. */
void device_save(struct device *device, struct saved *saved);
/* Into DEVICE, as new. */
int device_load(struct device *device, const struct saved *saved, struct error *error);
void saved_release(struct saved *saved);

bool saved_equal(const struct saved *a, const struct saved *b);
struct saved saved_copy(const struct saved *saved);

/*
 * The driver goes on with another device of CLASS, loaded from what the old one
 * saved, which is destroyed before; the memory is the same.
 */
void fake_driver_move(struct fake_driver *driver, const struct virtio_device_class *class,
                      const void *options);

/* ---- sections ---- */

#define SAVED_HEADER 12         /* of the file */
#define SAVED_SECTION_HEADER 32 /* of each section: name, index, version, 0, length, checksum */

struct saved_section {
    uint8_t *header;
    uint8_t *content;
    uint32_t length; /* of CONTENT */
};

/* The NUMBERth; false when there is none. */
bool saved_section(const struct saved *saved, size_t number, struct saved_section *section);
/* The first of that name; fails the test when there is none. */
struct saved_section saved_find(const struct saved *saved, const char *name);

/* Inserts COUNT bytes (removes, below 0) at the end of SECTION's content; its length follows. */
void saved_resize(struct saved *saved, size_t number, int count);

/* Makes the checksums of all sections right, as far as their lengths lead. */
void saved_seal(struct saved *saved);

#endif
