# SPDX-License-Identifier: Apache-2.0
"""Half-close on bare TCP: true between adit peers, stock teardown towards a stock edge."""

import hashlib

from peers import edge as scripted
from support import origin
from support.adit import Agent, route, routes, write_credentials
from support.case import Case, main
from support.require import need
from support.stack import HOST, Stack, serve
from support.tlsca import Authority
from support.waiting import wait_until

BIG = 100_000_000
SMALL = 16384


class HalfCloseTest(Case):
    """`adit connect` and scripted clients against our edge and our agent."""

    def test_upload_answered_after_eof(self):
        server = serve(self, origin.digest_after_eof)
        stack = Stack(self, server.port)
        data = origin.pattern(BIG)
        done = stack.connect(data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode().strip(), origin.sha256(data))

    def test_mirror(self):
        """The origin sends 100 MB and its end; only then do we send, and it gets it all."""
        data, late = origin.pattern(BIG), origin.pattern(1_000_000, seed=2)
        behaviour = origin.send_all(data)
        stack = Stack(self, serve(self, behaviour).port)
        process = stack.popen()
        digest, n = hashlib.sha256(), 0
        while piece := process.stdout.read(1 << 20):
            digest.update(piece)
            n += len(piece)
        self.assertEqual((n, digest.hexdigest()), (BIG, origin.sha256(data)))
        process.stdin.write(late)
        process.stdin.close()
        self.assertEqual(process.wait(), 0, process.log_tail())
        wait_until(lambda: behaviour.received, "the origin to see our end")
        self.assertEqual(behaviour.received, [origin.sha256(late)])

    def one_byte_stream(self, behaviour):
        """A client that grants one byte at a time."""
        client = Stack(self, serve(self, behaviour).port).scripted_client(window=1)
        stream = client.connect(f"{HOST}:22")
        self.assertEqual(client.answer(stream), ("200", None))
        return client, stream

    def test_upload_in_one_byte_windows(self):
        client, stream = self.one_byte_stream(origin.digest_after_eof)
        data = origin.pattern(SMALL)
        client.send(stream, data, end=True, piece=1)
        client.wait(lambda: stream.ended, "the end of the answer")
        self.assertEqual(bytes(stream.data).decode().strip(), origin.sha256(data))

    def test_mirror_in_one_byte_windows(self):
        data = origin.pattern(SMALL)
        behaviour = origin.send_all(data)
        client, stream = self.one_byte_stream(behaviour)
        client.wait(lambda: stream.ended, "the origin's end")
        self.assertEqual(bytes(stream.data), data)
        client.send(stream, data, end=True, piece=1)
        wait_until(lambda: behaviour.received, "the origin to see our end")
        self.assertEqual(behaviour.received, [origin.sha256(data)])


class StockEdgeTest(Case):
    """Our agent towards a scripted stock edge: protocol.md, "teardown"."""

    def setUp(self):
        need("openssl")
        super().setUp()
        self.authority = Authority(self.path("ca"))

    def connection(self, behaviour, window=1 << 24):
        self.server = serve(self, behaviour)
        edge = scripted.Edge(self.authority, [scripted.success], window=window)
        self.addCleanup(edge.close)
        self.agent = Agent(
            self, edge.address, self.authority.ca_file, write_credentials(self),
            routes(route(f"{HOST}/32", via=f"127.0.0.1:{self.server.port}")),
            settings="edge-server-name: h2.cftunnel.com\nha-connections: 1\n").start()
        conn = edge.wait_registered(1)[0]
        stream = conn.open_tcp(f"{HOST}:22")
        answer = conn.wait_answer(stream)
        self.assertEqual(answer[":status"], "200")
        self.assertEqual(answer["cf-cloudflared-response-meta"], '{"src":"origin"}')
        self.assertEqual(answer["cf-cloudflared-response-headers"], "")
        return conn, stream

    def test_edge_ends_first(self):
        """All bytes before the end reach the origin; then END_STREAM and nothing after it."""
        for n, piece in ((20_000_000, None), (SMALL, 1)):
            with self.subTest(f"{n} bytes"):
                seen = []

                def behaviour(sock):
                    digest, count = hashlib.sha256(), 0
                    while data := sock.recv(262144):
                        digest.update(data)
                        count += len(data)
                    seen.append((count, digest.hexdigest()))
                conn, stream = self.connection(behaviour)
                data = origin.pattern(n)
                conn.send(stream, data, end=True, piece=piece)
                conn.wait_end(stream)
                self.assertEqual(stream.log, ["headers", "end"])
                conn.ping()
                conn.wait(lambda: conn.ping_acks, "the PING's answer")
                self.assertEqual(stream.log, ["headers", "end"])
                wait_until(lambda: seen, "the origin to see the end")
                self.assertEqual(seen, [(n, origin.sha256(data))])
                self.agent.process.close()

    def test_origin_ends_first(self):
        """All bytes before the end reach the edge; then END_STREAM, RST_STREAM(NO_ERROR)."""
        for n, window in ((20_000_000, 1 << 24), (SMALL, 1)):
            with self.subTest(f"{n} bytes"):
                data = origin.pattern(n)

                def behaviour(sock):
                    sock.sendall(data)
                conn, stream = self.connection(behaviour, window)
                conn.wait(lambda: stream.reset is not None, "the reset", 120)
                self.assertEqual(stream.log, ["headers", "data", "end", "reset:0"])
                self.assertEqual(origin.sha256(stream.data), origin.sha256(data))
                self.agent.process.close()

    def test_origin_shuts_one_half(self):
        """FIN is the end of both directions: the origin's later read sees the end."""
        behaviour = origin.send_all(b"bye")
        conn, stream = self.connection(behaviour)
        conn.wait(lambda: stream.reset is not None, "the reset")
        self.assertEqual(stream.log, ["headers", "data", "end", "reset:0"])
        wait_until(lambda: behaviour.received, "the origin to see the end")
        self.assertEqual(behaviour.received, [origin.sha256(b"")])

    def test_origin_resets(self):
        conn, stream = self.connection(origin.reset)
        conn.send(stream, b"x")
        conn.wait(lambda: stream.closed, "the end")
        conn.wait(lambda: stream.reset is not None, "the reset")
        self.assertEqual(stream.log, ["headers", "end", "reset:0"])

    def test_edge_resets(self):
        """The agent closes the origin's socket and sends nothing more."""
        conn, stream = self.connection(origin.echo)
        conn.send(stream, b"x")
        conn.wait(lambda: stream.n_received == 1, "the echo")
        conn.reset(stream)
        wait_until(lambda: self.server.sockets[0].fileno() == -1, "the origin to see the end")
        self.assertEqual(stream.log, ["headers", "data"])

    def test_refusal(self):
        conn, _ = self.connection(origin.echo)
        self.server.close()
        for authority in (f"{HOST}:22", "10.116.0.9:22", "localhost:22", HOST, "127.0.0.1:22"):
            stream = conn.open_tcp(authority)
            answer = conn.wait_answer(stream)
            conn.wait(lambda: stream.reset is not None, "the reset")
            self.assertEqual(stream.log, ["headers", "end", "reset:0"], authority)
            self.assertEqual(answer[":status"], "502", authority)
            self.assertEqual(answer["cf-cloudflared-response-meta"], '{"src":"cloudflared"}')
            self.assertEqual(answer["content-length"], "0")


if __name__ == "__main__":
    main()
