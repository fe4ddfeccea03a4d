#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""native-net-server.py ADDRESS...: takes connections, and sends datagrams back, at some ports of each address."""
import selectors
import socket
import sys

selector = selectors.DefaultSelector()
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in (80, 81, 67, 547):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = socket.socket(family, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen()
            selector.register(server, selectors.EVENT_READ, kind)
while True:
    for key, _ in selector.select():
        if key.data == socket.SOCK_STREAM:
            key.fileobj.accept()[0].close()
        else:
            data, sender = key.fileobj.recvfrom(2048)
            key.fileobj.sendto(data, sender)
