/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/images/digest.h"

#include <string.h>

static int digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    return -1;
}

bool digest_parse_hex(const char *text, struct digest *digest)
{
    for (size_t i = 0; i < sizeof(digest->bytes); i++) {
        int high = digit(text[2 * i]);
        int low = high < 0 ? -1 : digit(text[2 * i + 1]);

        if (low < 0)
            return false;
        digest->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool digest_parse(const char *text, struct digest *digest)
{
    size_t prefix = strlen(DIGEST_PREFIX);

    return strncmp(text, DIGEST_PREFIX, prefix) == 0 && digest_parse_hex(text + prefix, digest) &&
           text[prefix + DIGEST_HEX] == '\0';
}

const char *digest_hex(const struct digest *digest, char text[DIGEST_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof(digest->bytes); i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    text[DIGEST_HEX] = '\0';
    return text;
}

const char *digest_text(const struct digest *digest, char text[DIGEST_TEXT])
{
    memcpy(text, DIGEST_PREFIX, strlen(DIGEST_PREFIX));
    digest_hex(digest, text + strlen(DIGEST_PREFIX));
    return text;
}

bool digest_equal(const struct digest *left, const struct digest *right)
{
    return memcmp(left->bytes, right->bytes, sizeof(left->bytes)) == 0;
}

struct digest digest_of(const void *bytes, size_t length)
{
    struct sha256_ctx state;

    sha256_init(&state);
    sha256_update(&state, length, bytes);
    return digest_end(&state);
}

void digest_number(struct sha256_ctx *state, uint64_t number)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    sha256_update(state, sizeof(bytes), bytes);
}

struct digest digest_end(struct sha256_ctx *state)
{
    struct digest digest;

    sha256_digest(state, sizeof(digest.bytes), digest.bytes);
    return digest;
}
