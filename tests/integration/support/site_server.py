# SPDX-License-Identifier: Apache-2.0
"""A site's services, run as a program in its namespace: site_server.py NAME ADDRESS...

On each address: HTTP on 80 says NAME; TCP 7 and UDP 7 echo; UDP and TCP 53 know three names:
"host.corp.test", whose TXT record is NAME; "big.corp.test", whose TXT record is longer than a
datagram may be; and the reverse one of 10.0.0.5. Prints "ready" when all of them listen.
"""

import http.server
import os
import socket
import socketserver
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NAME, ADDRESSES = sys.argv[1], sys.argv[2:]
TXT, A, PTR = 16, 1, 12
TRUNCATED = 0x0200


class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{NAME}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class TcpEcho(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class UdpEcho(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


def text(*strings):
    return b"".join(bytes([len(s)]) + s for s in strings)


RECORDS = {
    ("host.corp.test", TXT): text(NAME.encode()),
    ("host.corp.test", A): socket.inet_aton("10.0.0.5"),
    ("big.corp.test", TXT): text(*[b"x" * 255] * 200),
    ("5.0.0.10.in-addr.arpa", PTR): text(b"host", b"corp", b"test", b""),
}


def dns_answer(query, datagram_max):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    question = query[12:at + 5]
    name = ".".join(labels)
    data = RECORDS.get((name, kind))
    records = struct.pack("!HHHIH", 0xc00c, kind, 1, 60, len(data)) + data if data else b""
    flags = 0x8580 if any(name == known for known, _ in RECORDS) else 0x8583
    if len(records) > datagram_max:
        records, flags = b"", flags | TRUNCATED
    return query[:2] + struct.pack("!HHHHH", flags, 1, 1 if records else 0, 0, 0) + question + \
        records


class UdpDns(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(dns_answer(data, 512), self.client_address)


class TcpDns(socketserver.StreamRequestHandler):
    def handle(self):
        size = struct.unpack("!H", self.rfile.read(2))[0]
        answer = dns_answer(self.rfile.read(size), 65535)
        self.wfile.write(struct.pack("!H", len(answer)) + answer)


def server(base, handler, address, port):
    class Server(base):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 1024
        max_packet_size = 65536

        def server_bind(self):
            if isinstance(self, socketserver.UDPServer):
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            socketserver.TCPServer.server_bind(self)
    made = Server((address, port), handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()


def main():
    for address in ADDRESSES:
        server(socketserver.ThreadingTCPServer, Http, address, 80)
        server(socketserver.ThreadingTCPServer, TcpEcho, address, 7)
        server(socketserver.UDPServer, UdpEcho, address, 7)
        server(socketserver.ThreadingTCPServer, TcpDns, address, 53)
        server(socketserver.UDPServer, UdpDns, address, 53)
    print("ready", flush=True)
    threading.Event().wait()


main()
