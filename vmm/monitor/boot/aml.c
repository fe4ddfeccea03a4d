/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/monitor/boot/aml.h"

#include <assert.h>
#include <string.h>

/* Op codes, ACPI 6.5 section 20.3. */
enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_EXTENDED = 0x5b,
    OP_EXTENDED_DEVICE = 0x82,
    OP_NOTIFY = 0x86,
};

/* Resource descriptor tags: small ones hold their length in the low three bits (6.4.2, 6.4.3). */
enum {
    TAG_IRQ = 0x23,
    TAG_IO = 0x47,
    TAG_END = 0x79,
    TAG_MEMORY32_FIXED = 0x86,
    TAG_EXTENDED_INTERRUPT = 0x89,
};

/* The longest encodings: a PkgLength (20.2.4), an integer with its op code. */
#define PKG_LENGTH_BYTES 4
#define PKG_LENGTH_MAX ((1u << 28) - 1)
#define INTEGER_BYTES 9

void aml_init(struct aml *aml, void *bytes, size_t capacity)
{
    *aml = (struct aml){ .bytes = bytes, .capacity = capacity };
}

bool aml_fits(const struct aml *aml)
{
    return !aml->overflow;
}

/* Once something was dropped nothing more is written, so that no half object follows another. */
static bool reserve(struct aml *aml, size_t length)
{
    if (aml->overflow || length > aml->capacity - aml->length) {
        aml->overflow = true;
        return false;
    }
    return true;
}

static void append(struct aml *aml, const void *bytes, size_t length)
{
    if (!reserve(aml, length))
        return;
    memcpy(aml->bytes + aml->length, bytes, length);
    aml->length += length;
}

static void append_byte(struct aml *aml, uint8_t byte)
{
    append(aml, &byte, 1);
}

static size_t encode_little_endian(uint8_t *bytes, uint64_t value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return length;
}

static void append_number(struct aml *aml, uint64_t value, size_t length)
{
    uint8_t bytes[8];

    append(aml, bytes, encode_little_endian(bytes, value, length));
}

/* Section 20.2.3: the shortest form. */
static size_t encode_integer(uint8_t bytes[INTEGER_BYTES], uint64_t value)
{
    static const struct {
        uint8_t op;
        uint8_t length;
    } forms[] = { { OP_BYTE, 1 }, { OP_WORD, 2 }, { OP_DWORD, 4 }, { OP_QWORD, 8 } };
    size_t form = 0;

    if (value <= 1) {
        bytes[0] = value ? OP_ONE : OP_ZERO;
        return 1;
    }
    while (forms[form].length < 8 && value >> (8 * forms[form].length))
        form++;
    bytes[0] = forms[form].op;
    return 1 + encode_little_endian(bytes + 1, value, forms[form].length);
}

/*
 * Section 20.2.4: the length counts its own bytes.  One byte holds six bits;
 * otherwise the first holds the number of bytes that follow and the low four
 * bits, the others eight bits each.
 */
static size_t encode_pkg_length(uint8_t bytes[PKG_LENGTH_BYTES], size_t contents)
{
    size_t length = 1;

    while (length < PKG_LENGTH_BYTES &&
           (contents + length) >> (length == 1 ? 6 : 8 * (length - 1) + 4))
        length++;
    contents += length;
    if (length == 1) {
        bytes[0] = (uint8_t)contents;
        return 1;
    }
    bytes[0] = (uint8_t)((length - 1) << 6 | (contents & 0xf));
    encode_little_endian(bytes + 1, contents >> 4, length - 1);
    return length;
}

static void append_path(struct aml *aml, const char *path)
{
    if (*path == '\\')
        append_byte(aml, (uint8_t)*path++);
    assert(strlen(path) == 4);
    assert(strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == 4);
    assert(*path < '0' || *path > '9');
    append(aml, path, 4);
}

struct aml_mark aml_scope(struct aml *aml, const char *path)
{
    struct aml_mark mark;

    append_byte(aml, OP_SCOPE);
    mark = (struct aml_mark){ .offset = aml->length };
    append_path(aml, path);
    return mark;
}

struct aml_mark aml_device(struct aml *aml, const char *path)
{
    struct aml_mark mark;

    append_byte(aml, OP_EXTENDED);
    append_byte(aml, OP_EXTENDED_DEVICE);
    mark = (struct aml_mark){ .offset = aml->length };
    append_path(aml, path);
    return mark;
}

struct aml_mark aml_package(struct aml *aml, uint8_t element_count)
{
    struct aml_mark mark;

    append_byte(aml, OP_PACKAGE);
    mark = (struct aml_mark){ .offset = aml->length };
    append_byte(aml, element_count);
    return mark;
}

struct aml_mark aml_method(struct aml *aml, const char *path)
{
    struct aml_mark mark;

    append_byte(aml, OP_METHOD);
    mark = (struct aml_mark){ .offset = aml->length };
    append_path(aml, path);
    append_byte(aml, 0x09); /* one argument; serialized */
    return mark;
}

void aml_notify(struct aml *aml, const char *path, uint8_t value)
{
    append_byte(aml, OP_NOTIFY);
    append_path(aml, path);
    append_byte(aml, OP_BYTE);
    append_byte(aml, value);
}

void aml_end(struct aml *aml, struct aml_mark mark)
{
    uint8_t prefix[PKG_LENGTH_BYTES + INTEGER_BYTES], size[INTEGER_BYTES];
    size_t contents, size_length = 0, prefix_length;

    if (aml->overflow)
        return;
    contents = aml->length - mark.offset;
    if (mark.buffer)
        size_length = encode_integer(size, contents);
    if (contents > PKG_LENGTH_MAX - sizeof(prefix)) {
        aml->overflow = true;
        return;
    }
    prefix_length = encode_pkg_length(prefix, size_length + contents);
    memcpy(prefix + prefix_length, size, size_length);
    prefix_length += size_length;
    if (!reserve(aml, prefix_length))
        return;
    memmove(aml->bytes + mark.offset + prefix_length, aml->bytes + mark.offset, contents);
    memcpy(aml->bytes + mark.offset, prefix, prefix_length);
    aml->length += prefix_length;
}

void aml_name(struct aml *aml, const char *path)
{
    append_byte(aml, OP_NAME);
    append_path(aml, path);
}

void aml_integer(struct aml *aml, uint64_t value)
{
    uint8_t bytes[INTEGER_BYTES];

    append(aml, bytes, encode_integer(bytes, value));
}

void aml_string(struct aml *aml, const char *ascii)
{
    append_byte(aml, OP_STRING);
    append(aml, ascii, strlen(ascii) + 1);
}

void aml_eisa_id(struct aml *aml, const char *id)
{
    uint32_t value = 0;

    assert(strlen(id) == 7);
    for (size_t i = 0; i < 3; i++) {
        assert(id[i] >= 'A' && id[i] <= 'Z');
        value = value << 5 | (uint32_t)(id[i] - 'A' + 1);
    }
    for (size_t i = 3; i < 7; i++) {
        assert(strchr("0123456789ABCDEF", id[i]));
        value = value << 4 | (uint32_t)(id[i] <= '9' ? id[i] - '0' : id[i] - 'A' + 10);
    }
    /* The identifier is a big-endian number kept in a little-endian integer. */
    append_byte(aml, OP_DWORD);
    append_number(aml, __builtin_bswap32(value), 4);
}

struct aml_mark aml_resources(struct aml *aml)
{
    append_byte(aml, OP_BUFFER);
    return (struct aml_mark){ .offset = aml->length, .buffer = true };
}

void aml_resources_end(struct aml *aml, struct aml_mark mark)
{
    append_byte(aml, TAG_END);
    append_byte(aml, 0); /* a checksum of 0 is taken as right (6.4.2.9) */
    aml_end(aml, mark);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t length)
{
    append_byte(aml, TAG_IO);
    append_byte(aml, 1); /* decodes 16 address bits */
    append_number(aml, base, 2);
    append_number(aml, base, 2);
    append_byte(aml, 1); /* alignment */
    append_byte(aml, length);
}

void aml_irq(struct aml *aml, unsigned int isa_irq)
{
    assert(isa_irq < 16);
    append_byte(aml, TAG_IRQ);
    append_number(aml, 1u << isa_irq, 2);
    append_byte(aml, 0x01); /* edge; active high and exclusive are 0 */
}

void aml_memory32_fixed(struct aml *aml, uint32_t base, uint32_t length)
{
    append_byte(aml, TAG_MEMORY32_FIXED);
    append_number(aml, 9, 2);
    append_byte(aml, 1); /* writable */
    append_number(aml, base, 4);
    append_number(aml, length, 4);
}

void aml_interrupt(struct aml *aml, uint32_t gsi)
{
    append_byte(aml, TAG_EXTENDED_INTERRUPT);
    append_number(aml, 6, 2);
    append_byte(aml, 0x03); /* consumer, edge; active high and exclusive are 0 */
    append_byte(aml, 1);    /* one interrupt */
    append_number(aml, gsi, 4);
}
