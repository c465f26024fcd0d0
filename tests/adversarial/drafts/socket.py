# expect: blocked
# class: escape
# tries: Opens a connection to another machine.
# held by: seccomp refuses sockets
import socket


def kernel(u, out):
    socket.socket().connect(("192.0.2.1", 80))
