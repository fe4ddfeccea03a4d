/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor keeps for a vsock device in its jail. */
#include "devices/backend/socket_broker.h"
#include "devices/backend/unix_listener.h"
#include "devices/virtio/vsock.h"

int virtio_vsock_open_host(struct vsock_options *vsock, struct event_loop *loop, struct error *error)
{
    int result = 0;

    if (!vsock->path) /* the guest's connections are handed over to who has them already */
        return 0;
    result = unix_listener_make(&vsock->listener, "vsock", vsock->path, error);
    if (result == 0)
        result = socket_broker_create(&vsock->broker, vsock->path, loop, error);
    return result;
}

void virtio_vsock_close_host(struct vsock_options *vsock)
{
    socket_broker_destroy(vsock->broker);
    unix_listener_destroy(vsock->listener);
    vsock->broker = NULL;
    vsock->listener = NULL;
}
