/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay waits for one thing at a time: for bytes while it holds none, for
 * room while it does.  So a slow reader at one end makes the writer at the other
 * wait, and nothing is lost or piled up between them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/init/init.h"

void relay_open(struct relay *relay, int from, int to)
{
    relay->from = from;
    relay->to = to;
    relay->first = relay->end = 0;
    relay->finished = false;
    fcntl(from, F_SETFL, fcntl(from, F_GETFL) | O_NONBLOCK);
    fcntl(to, F_SETFL, fcntl(to, F_GETFL) | O_NONBLOCK);
}

struct pollfd relay_wait(const struct relay *relay)
{
    if (relay->finished)
        return (struct pollfd){ .fd = -1 };
    if (relay->first < relay->end)
        return (struct pollfd){ .fd = relay->to, .events = POLLOUT };
    return (struct pollfd){ .fd = relay->from, .events = POLLIN };
}

/* Whoever wrote learns of it by SIGPIPE, whoever reads by the end of the stream. */
static void finish(struct relay *relay)
{
    close(relay->from);
    close(relay->to);
    relay->finished = true;
}

static bool again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

void relay_step(struct relay *relay)
{
    ssize_t count;

    if (relay->finished)
        return;
    if (relay->first == relay->end) {
        count = read(relay->from, relay->bytes, sizeof(relay->bytes));
        if (count < 0 && again())
            return;
        if (count <= 0) { /* a terminal that nobody has open any more reports EIO */
            finish(relay);
            return;
        }
        relay->first = 0;
        relay->end = (size_t)count;
    }
    count = write(relay->to, relay->bytes + relay->first, relay->end - relay->first);
    if (count >= 0)
        relay->first += (size_t)count;
    else if (!again())
        finish(relay);
}
