/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink PATH: listens on the unix socket PATH, takes one connection, reads it to its end and prints how many bytes came.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128 /* connections that nobody takes */

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    static char bytes[64 << 10];
    unsigned long long total = 0;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), peer;
    ssize_t length;

    if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path))
        return 2;
    strcpy(address.sun_path, argv[1]);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, BACKLOG) < 0) {
        perror(argv[1]);
        return 1;
    }
    peer = accept(listener, NULL, NULL);
    if (peer < 0) {
        perror("accept");
        return 1;
    }
    while ((length = read(peer, bytes, sizeof(bytes))) > 0)
        total += (unsigned long long)length;
    printf("%llu bytes\n", total);
    return length < 0;
}
