/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_AML_H
#define MOTE_AML_H

/*
 * Writes ACPI Machine Language (ACPI 6.5, chapter 20) into a bounded buffer.
 *
 * AML is a prefix code: an object that holds others (scope, device, package,
 * buffer) starts with its own length, and that length takes one to four bytes
 * depending on what follows.  So each begin() yields a mark, the contents are
 * written right behind it, and aml_end() moves them up by the few bytes that
 * the length turned out to need.  Marks are closed in reverse order.
 *
 * What does not fit is dropped and noted: after the last call aml_fits() tells
 * whether the buffer holds all of it.  Until then nobody needs to look.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
    uint8_t *bytes;
    size_t capacity;
    size_t length; /* written so far */
    bool overflow; /* sticky: something did not fit */
};

struct aml_mark {
    size_t offset;
    bool buffer; /* a size follows the length (section 20.2.5.4, DefBuffer) */
};

void aml_init(struct aml *aml, void *bytes, size_t capacity);
bool aml_fits(const struct aml *aml);

/*
 * A PATH is one name segment of four characters, A-Z, 0-9 and _, not starting
 * with a digit; "\" before it makes it absolute (section 20.2.2).
 */
struct aml_mark aml_scope(struct aml *aml, const char *path);
struct aml_mark aml_device(struct aml *aml, const char *path);
/* A method of one argument, serialized. */
struct aml_mark aml_method(struct aml *aml, const char *path);
struct aml_mark aml_package(struct aml *aml, uint8_t element_count);
void aml_end(struct aml *aml, struct aml_mark mark);

/* Notify (PATH, VALUE), within a method. */
void aml_notify(struct aml *aml, const char *path, uint8_t value);

/* Name (PATH, …): the object written next is its value. */
void aml_name(struct aml *aml, const char *path);

/* Data objects (section 20.2.3). */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *ascii);
/* ID is three capital letters and four capital hexadecimal digits (section 19.6.38). */
void aml_eisa_id(struct aml *aml, const char *id);

/*
 * A resource template (section 6.4) as the value of _CRS: descriptors between
 * aml_resources() and aml_resources_end().  Interrupts are edge-triggered,
 * active high and exclusive, which is what every device of this machine has.
 */
struct aml_mark aml_resources(struct aml *aml);
void aml_resources_end(struct aml *aml, struct aml_mark mark);
void aml_io(struct aml *aml, uint16_t base, uint8_t length);
void aml_irq(struct aml *aml, unsigned int isa_irq); /* 0 to 15 */
void aml_memory32_fixed(struct aml *aml, uint32_t base, uint32_t length);
void aml_interrupt(struct aml *aml, uint32_t gsi);

#endif
