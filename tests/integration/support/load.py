# SPDX-License-Identifier: Apache-2.0
"""Many sockets in one process: load.py MODE ADDRESS PORT [N]

serve   echoes TCP and UDP; prints "ready"
udp     N flows, all at once, each sends until it is answered, or no round of sending helps
tcp     N connections, all at once, each is answered; they stay open until stdin ends
rst     the same, but then they are reset
syn     N connections that are only begun; they stay, too

All but serve print one line of JSON when all is done that they can do.
"""

import errno
import json
import resource
import select
import socket
import struct
import sys

BATCH = 256         # sockets between two looks at what has come: a device's queue is short
QUIET_S = 5         # nothing came for so long: what is missing is lost
DEADLINE_S = 90


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Poll:
    def __init__(self):
        self.epoll, self.sockets = select.epoll(), {}

    def add(self, sock, events):
        self.sockets[sock.fileno()] = sock
        self.epoll.register(sock, events)

    def remove(self, sock):
        self.epoll.unregister(sock)
        del self.sockets[sock.fileno()]

    def wait(self, timeout):
        return [(self.sockets[fd], events) for fd, events in self.epoll.poll(timeout, 4096)]


# ---- the server ----

def listen(address, port):
    tcp = socket.create_server((address, port), family=family_of(address), backlog=4096)
    udp = socket.socket(family_of(address), socket.SOCK_DGRAM)
    so_rcvbufforce = 33
    udp.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, 16 << 20)
    udp.bind((address, port))
    for sock in (tcp, udp):
        sock.setblocking(False)
    return tcp, udp


def echo_datagrams(sock):
    while True:
        try:
            data, peer = sock.recvfrom(65536)
        except BlockingIOError:
            return
        sock.sendto(data, peer)


def echo_stream(poll, sock):
    try:
        data = sock.recv(65536)
    except OSError:
        data = b""
    if data:
        sock.sendall(data)
        return
    poll.remove(sock)
    sock.close()


def accept_all(poll, tcp):
    while True:
        try:
            sock = tcp.accept()[0]
        except BlockingIOError:
            return
        poll.add(sock, select.EPOLLIN)


def serve(address, port):
    tcp, udp = listen(address, port)
    poll = Poll()
    for sock in (tcp, udp):
        poll.add(sock, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        for sock, _ in poll.wait(-1):
            if sock is udp:
                echo_datagrams(udp)
            elif sock is tcp:
                accept_all(poll, tcp)
            else:
                echo_stream(poll, sock)


# ---- UDP ----

def udp_round(poll, waiting):
    """Each of @waiting sends once; those that are answered leave it."""
    def take(timeout):
        ready = poll.wait(timeout)
        for sock, _ in ready:
            try:
                if sock.recv(100) == waiting.get(sock):
                    del waiting[sock]
            except OSError:
                pass
        return ready

    for i, (sock, data) in enumerate(list(waiting.items())):
        try:
            sock.send(data)
        except OSError:
            pass
        if i % BATCH == 0:
            take(0.001)
    while waiting and take(QUIET_S):
        pass


def udp(address, port, n):
    poll, waiting = Poll(), {}
    for i in range(n):
        sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((address, port))
        poll.add(sock, select.EPOLLIN)
        waiting[sock] = f"flow {i}".encode()
    sent, missing = 0, n + 1
    while 0 < len(waiting) < missing:
        missing = len(waiting)
        sent += missing
        udp_round(poll, waiting)
    return {"answered": n - len(waiting), "sent": sent}


# ---- TCP ----

def begin(address, port, n, poll):
    failures = {}
    for _ in range(n):
        sock = socket.socket(family_of(address))
        sock.setblocking(False)
        error = sock.connect_ex((address, port))
        if error not in (0, errno.EINPROGRESS):
            failures[errno.errorcode[error]] = failures.get(errno.errorcode[error], 0) + 1
            continue
        poll.add(sock, select.EPOLLOUT)
    return failures


def tcp(address, port, n):
    poll = Poll()
    failures = begin(address, port, n, poll)
    open_ones, echoed = len(poll.sockets), 0
    while open_ones > echoed:
        ready = poll.wait(DEADLINE_S)
        if not ready:
            break
        for sock, events in ready:
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error or events & select.EPOLLHUP:
                name = errno.errorcode.get(error, "end")
                failures[name] = failures.get(name, 0) + 1
                open_ones -= 1
                poll.remove(sock)
            elif events & select.EPOLLOUT:
                sock.send(b"hello")
                poll.epoll.modify(sock, select.EPOLLIN)
            elif sock.recv(100) == b"hello":
                echoed += 1
                poll.epoll.modify(sock, 0)
    return {"echoed": echoed, "failures": failures}, poll


def rst(address, port, n):
    result, poll = tcp(address, port, n)
    for sock in poll.sockets.values():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return result, poll


def syn(address, port, n):
    poll = Poll()
    failures = begin(address, port, n, poll)
    return {"begun": len(poll.sockets), "failures": failures}, poll


def main():
    mode, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if mode == "serve":
        serve(address, port)
    elif mode == "udp":
        print(json.dumps(udp(address, port, int(sys.argv[4]))), flush=True)
    else:
        result, kept = {"tcp": tcp, "rst": rst, "syn": syn}[mode](address, port, int(sys.argv[4]))
        print(json.dumps(result), flush=True)
        sys.stdin.read()
        del kept


main()
