/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns ADDRESS PORT ANSWER: a name server for the boot tests, where there is no
 * other: each question for an IPv4 address is answered by ANSWER, others by
 * nothing.  Runs until it is killed.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER 12 /* RFC 1035, 4.1.1 */

/* Where the first question ends, or 0. */
static size_t question_end(const uint8_t *message, size_t length)
{
    size_t at = HEADER;

    while (at < length && message[at] != 0 && message[at] < 64)
        at += message[at] + 1u;
    return at + 5 <= length && message[at] == 0 ? at + 5 : 0;
}

/* Makes an answer of the question; its length. */
static size_t answer(uint8_t *message, size_t end, const struct in_addr *address)
{
    /* The name as in the question; A, IN, a minute to live, four bytes. */
    static const uint8_t record[] = { 0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4 };
    int is_a = message[end - 3] == 1;

    message[2] |= 0x80;
    message[3] = 0x80;
    memset(message + 6, 0, 6);
    if (!is_a)
        return end;
    message[7] = 1;
    memcpy(message + end, record, sizeof(record));
    memcpy(message + end + sizeof(record), address, sizeof(*address));
    return end + sizeof(record) + sizeof(*address);
}

int main(int argc, char **argv)
{
    struct sockaddr_in own = { .sin_family = AF_INET }, peer;
    struct in_addr address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (argc != 4 || inet_pton(AF_INET, argv[1], &own.sin_addr) != 1 ||
        inet_pton(AF_INET, argv[3], &address) != 1) {
        fprintf(stderr, "usage: dns ADDRESS PORT ANSWER\n");
        return 125;
    }
    own.sin_port = htons((uint16_t)atoi(argv[2]));
    if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0) {
        perror("dns");
        return 125;
    }
    for (;;) {
        uint8_t message[1024];
        socklen_t size = sizeof(peer);
        ssize_t length = recvfrom(fd, message, sizeof(message) - 32, 0, (struct sockaddr *)&peer,
                                  &size);
        size_t end = length > HEADER ? question_end(message, (size_t)length) : 0;

        if (end)
            sendto(fd, message, answer(message, end, &address), 0, (struct sockaddr *)&peer, size);
    }
}
