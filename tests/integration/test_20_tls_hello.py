# SPDX-License-Identifier: Apache-2.0
"""TLS as the edge speaks it: with stock cloudflared's hello, P-256 only, with and without ALPN."""

import os
import socket
import ssl
import struct
import subprocess

from support.adit import Edge
from support.case import Case, main
from support.require import need
from support.tlsca import client_context
from peers.rpc import GOLDEN

HANDSHAKE, ALERT = 22, 21
SERVER_HELLO, SECP256R1 = 2, 23
KEY_SHARE = 51
# RFC 8446 4.1.3: this random makes a ServerHello a HelloRetryRequest.
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise AssertionError(f"closed after {len(data)} of {n} bytes")
        data += piece
    return data


def server_hello_extensions(body):
    """{type: data} of a ServerHello's body."""
    at = 34 + 1 + body[34] + 2 + 1
    end = at + 2 + struct.unpack_from(">H", body, at)[0]
    at += 2
    found = {}
    while at < end:
        kind, length = struct.unpack_from(">HH", body, at)
        found[kind] = body[at + 4:at + 4 + length]
        at += 4 + length
    return found


class TlsHelloTest(Case):
    def setUp(self):
        need("openssl")
        super().setUp()
        self.edge = Edge(self).start()

    def tearDown(self):
        self.assertTrue(self.edge.answers())
        super().tearDown()

    def dial(self):
        sock = socket.create_connection(("127.0.0.1", self.edge.port), 60)
        self.addCleanup(sock.close)
        return sock

    def s_client(self, *options, typed=b""):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", self.edge.address, "-CAfile", self.edge.ca_file,
             "-servername", "h2.cftunnel.com", "-verify_return_error", *options],
            input=typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.returncode, done.stdout.decode(errors="replace")

    def test_stock_hello_gets_a_retry_request_for_p256(self):
        sock = self.dial()
        with open(os.path.join(GOLDEN, "clienthello.bin"), "rb") as f:
            sock.sendall(f.read())
        kind, _, length = struct.unpack(">BHH", read_exactly(sock, 5))
        self.assertEqual(kind, HANDSHAKE, "the first record is no handshake")
        record = read_exactly(sock, length)
        self.assertEqual(record[0], SERVER_HELLO)
        body = record[4:]
        self.assertEqual(body[2:34], RETRY_RANDOM)
        self.assertEqual(server_hello_extensions(body)[KEY_SHARE], struct.pack(">H", SECP256R1))
        # Nothing but a change_cipher_spec may follow: the edge waits for the second hello.
        sock.settimeout(0.3)
        try:
            following = sock.recv(1)
        except TimeoutError:
            following = b""
        self.assertNotEqual(following[:1], bytes([ALERT]))

    def test_p256_alone_without_alpn(self):
        for version, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            with self.subTest(name):
                status, text = self.s_client(version, "-groups", "P-256")
                self.assertEqual(status, 0, text)
                self.assertIn(f"New, {name}", text)
                self.assertIn("prime256v1", text)
                self.assertIn("No ALPN negotiated", text)
                self.assertIn("Verify return code: 0 (ok)", text)

    def test_alpn(self):
        for version in ("-tls1_2", "-tls1_3"):
            status, text = self.s_client(version, "-alpn", "h2")
            self.assertEqual(status, 0, text)
            self.assertIn("ALPN protocol: h2", text)
            status, text = self.s_client(version, "-alpn", "http/1.1,spdy/3")
            self.assertNotEqual(status, 0)
            self.assertIn("no application protocol", text)

    def test_older_versions_are_refused(self):
        for version in ("-tls1", "-tls1_1"):
            status, text = self.s_client(version, "-cipher", "DEFAULT@SECLEVEL=0")
            self.assertNotEqual(status, 0)
            self.assertIn("alert protocol version", text)

    def test_no_renegotiation(self):
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", self.edge.address, "-CAfile", self.edge.ca_file,
             "-servername", "h2.cftunnel.com", "-tls1_2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        # After the edge's preface: data in the middle of a handshake would be the error then.
        seen = b""
        while b"PRI * HTTP/2.0" not in seen:
            piece = process.stdout.read1(65536)
            self.assertTrue(piece, seen)
            seen += piece
        # s_client's command for it; its input stays open, so the edge's answer ends it.
        process.stdin.write(b"R\n")
        process.stdin.flush()
        text = process.stdout.read().decode(errors="replace")
        self.assertIn("RENEGOTIATING", text)
        self.assertIn("no renegotiation", text)

    def test_no_tickets(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context(self.edge.ca_file)
            context.maximum_version = version
            context.minimum_version = version
            with context.wrap_socket(self.dial(), server_hostname="h2.cftunnel.com") as tls:
                # The edge's HTTP/2 preface; a TLS 1.3 ticket would come before it.
                self.assertEqual(tls.recv(24), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                self.assertFalse(tls.session and tls.session.has_ticket)

    def test_precheck_handshakes_are_nothing_special(self):
        context = client_context(self.edge.ca_file)
        for _ in range(5):
            with context.wrap_socket(self.dial(), server_hostname="probe.cftunnel.com"):
                pass
        served = self.edge.process.log().split("edge started")[1]
        for level in ("ERR", "WRN", "level=error", "level=warning"):
            self.assertNotIn(f" {level} ", served)


if __name__ == "__main__":
    main()
