# SPDX-License-Identifier: Apache-2.0
"""What a client is told when it doesn't get through: HTTP status and adit-error from the edge,
one line and an own exit code from `adit connect`."""

import json
import socket
import subprocess

from peers.client import load_token
from support import adit, origin
from support.adit import route, routes
from support.case import Case, main
from support.process import free_port
from support.stack import HOST, Stack, echo_line, serve
from support.waiting import wait_until


class IngressTest(Case):
    """A scripted client."""

    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.stack = Stack(self, self.server.port, start=False)
        self.agent = self.stack.agent
        closed = free_port()
        self.agent.configure(routes(
            route(f"{HOST}/32", via=f"127.0.0.1:{self.server.port}"),
            route("10.116.0.4/32", via=f"127.0.0.1:{closed}"),
            route("10.116.0.5/32", via=f"127.0.0.1:{self.server.port}", ports="80")))
        self.agent.start().wait_state("Healthy")
        self.agent.wait_accepted()
        self.client = self.stack.scripted_client()

    def assertAnswer(self, stream, status, error):
        self.assertEqual(self.client.answer(stream), (status, error))
        self.client.wait(lambda: stream.closed, "the end of the refused stream")

    def connect(self, authority, **options):
        return self.client.connect(authority, **options)

    def test_statuses(self):
        for authority in ("localhost:22", "10.116.0.3", "10.116.0.3:0", "10.116.0.3:99999",
                          "10.116.0.3:22:22", "[::1", "010.116.0.3:22"):
            with self.subTest(authority):
                self.assertAnswer(self.connect(authority), "400", "bad-destination")
        self.assertAnswer(self.connect("10.116.9.9:22"), "404", "no-route")
        self.assertAnswer(self.connect(f"{HOST}:22", network="nowhere"), "404", "no-network")
        self.assertAnswer(self.connect("10.116.0.4:22"), "502", "refused")
        self.assertAnswer(self.connect("10.116.0.5:22"), "403", "forbidden")
        self.works()

    def works(self):
        stream = self.connect(f"{HOST}:22")
        self.assertEqual(self.client.answer(stream), ("200", None))
        self.client.send(stream, b"hello", end=True)
        self.client.wait(lambda: stream.ended, "the echo's end")
        self.assertEqual(bytes(stream.data), b"hello")

    def test_authentication(self):
        good = self.client.token
        flipped = good[:-1] + ("A" if good[-1] != "A" else "B")
        for token in ("", "x", flipped, "adit_x.y", good + "x", "adit_" + "y" * 5000):
            with self.subTest(token[:40]):
                self.assertAnswer(self.connect(f"{HOST}:22", token=token), "407",
                                  "unauthenticated")
        # No secret in the log.
        self.assertNotIn(good.split(".")[-1], self.stack.edge.process.log())
        self.works()

    def test_not_granted(self):
        path = self.stack.edge.create_client("bob", prefixes=("10.116.0.3/32",), ports="22")
        bob, none = load_token(path), load_token(self.stack.edge.create_client("carol", ()))
        stream = self.connect(f"{HOST}:22", token=bob)
        self.assertEqual(self.client.answer(stream), ("200", None))
        self.client.reset(stream)
        self.assertAnswer(self.connect(f"{HOST}:23", token=bob), "403", "not-granted")
        self.assertAnswer(self.connect("10.116.0.4:22", token=bob), "403", "not-granted")
        self.assertAnswer(self.connect(f"{HOST}:22", token=none), "403", "not-granted")

    def test_connector_down(self):
        self.assertEqual(self.agent.terminate(), 0)
        wait_until(lambda: not self.stack.edge.agents(), "the agent to go")
        self.assertAnswer(self.connect(f"{HOST}:22"), "503", "connector-down")

    def test_other_methods(self):
        for stream in (self.client.get("/"), self.client.get("/no/such"),):
            self.client.wait(lambda s=stream: s.closed, "the answer")
            self.assertIn(stream.headers[":status"], ("400", "404", "405", "501"))
        self.works()

    def test_revoked_client_is_cut(self):
        bob_path = self.stack.edge.create_client("bob")
        bob = self.stack.case.start(
            "bob", adit.connect_argv(HOST, 22, bob_path), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=0)
        alice = self.stack.popen()
        echo_line(bob, "mine")
        echo_line(alice, "hers")
        self.stack.edge.admin("client", "revoke", "bob")
        self.assertNotEqual(bob.wait(), 0)
        echo_line(alice, "still")
        self.assertAnswer(self.connect(f"{HOST}:22", token=load_token(bob_path)), "407",
                          "unauthenticated")


class ConnectTest(Case):
    """`adit connect`: one line that names the cause, and an exit code of its own."""

    def setUp(self):
        super().setUp()
        self.server = serve(self, origin.echo)
        self.stack = Stack(self, self.server.port)
        self.codes = {}

    def assertFails(self, done, *words):
        text = done.stderr.decode()
        self.assertEqual(done.stdout, b"")
        self.assertEqual(len(text.strip().splitlines()), 1, text)
        for word in words:
            self.assertIn(word, text)
        self.assertNotIn(done.returncode, (0, 1))
        self.assertNotIn(done.returncode, self.codes, f"{words} has the code of another cause")
        self.codes[done.returncode] = words

    def change(self, **members):
        """The credentials with other members."""
        with open(self.stack.client, encoding="utf-8") as f:
            credentials = json.load(f)
        credentials.update(members)
        return self.write("changed.json", json.dumps(credentials))

    def test_causes_have_their_own_codes(self):
        connect, client = adit.connect, self.stack.client
        self.assertFails(connect("10.116.9.9", 22, client), "route")
        bob = self.stack.edge.create_client("bob", prefixes=())
        self.assertFails(connect(HOST, 22, bob), "may not")
        self.stack.agent.configure(routes(route(f"{HOST}/32", via=f"127.0.0.1:{free_port()}")))
        self.assertEqual(self.stack.agent.reload().returncode, 0)
        self.assertFails(connect(HOST, 22, client), "refused")
        self.stack.edge.admin("client", "revoke", "bob")
        self.assertFails(connect(HOST, 22, bob), "token")
        self.assertEqual(self.stack.agent.terminate(), 0)
        self.assertFails(connect(HOST, 22, client), "connector")

    def test_usage(self):
        argv = [adit.binary("adit"), "connect"]
        for extra in ([], ["10.116.0.3"], ["10.116.0.3", "0"], ["10.116.0.3", "x"],
                      ["10.116.0.3", "22", "--no-such"]):
            done = adit.run(argv + extra)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertTrue(done.stderr)

    def test_certificate(self):
        other = adit.Edge(self, name="other")
        with open(other.ca_file, encoding="utf-8") as f:
            path = self.change(ca=f.read())
        self.assertFails(adit.connect(HOST, 22, path), "certificate")

    def test_edge_unreachable(self):
        path = self.change(edges=[f"127.0.0.1:{free_port()}"])
        self.assertFails(adit.connect(HOST, 22, path), "127.0.0.1")

    def test_credentials_that_are_none(self):
        for text in ("", "{", "[]", "{}", '{"token":7}', "\0" * 100):
            done = adit.connect(HOST, 22, self.write("bad.json", text))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(b"bad.json", done.stderr)
        path = self.write("open.json", open(self.stack.client, encoding="utf-8").read(), 0o644)
        done = adit.connect(HOST, 22, path)
        self.assertNotEqual(done.returncode, 0, "credentials that others may read")

    def test_listen(self):
        port = free_port()
        self.start("listener", self.stack.connect_argv(
            HOST, 22, "--listen", f"127.0.0.1:{port}"))

        def dial():
            try:
                return socket.create_connection(("127.0.0.1", port), 10)
            except OSError:
                return None
        for _ in range(2):
            with wait_until(dial, "the listener") as sock:
                sock.sendall(b"hello")
                self.assertEqual(sock.recv(5), b"hello")


if __name__ == "__main__":
    main()
