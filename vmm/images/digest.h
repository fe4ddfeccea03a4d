/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MOTE_IMAGES_DIGEST_H
#define MOTE_IMAGES_DIGEST_H

/*
 * SHA-256 digests as the OCI image specification spells them ("descriptor",
 * section Digests): "sha256:" and 64 small hexadecimal digits.  A digest that
 * was parsed is a safe part of a path.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nettle/sha2.h>

#define DIGEST_PREFIX "sha256:"
#define DIGEST_HEX 64
#define DIGEST_TEXT (sizeof(DIGEST_PREFIX) + DIGEST_HEX) /* with its NUL */

struct digest {
    uint8_t bytes[SHA256_DIGEST_SIZE];
};

/* Of exactly TEXT; false when it is none. */
bool digest_parse(const char *text, struct digest *digest);

/* Of the first DIGEST_HEX characters of TEXT, without the prefix. */
bool digest_parse_hex(const char *text, struct digest *digest);

/* The digits alone, and the whole text; into the caller's buffer, which is returned. */
const char *digest_hex(const struct digest *digest, char text[DIGEST_HEX + 1]);
const char *digest_text(const struct digest *digest, char text[DIGEST_TEXT]);

bool digest_equal(const struct digest *left, const struct digest *right);

struct digest digest_of(const void *bytes, size_t length);
/* NUMBER goes into STATE, alike on every host. */
void digest_number(struct sha256_ctx *state, uint64_t number);
/* Of all that went into STATE. */
struct digest digest_end(struct sha256_ctx *state);

#endif
