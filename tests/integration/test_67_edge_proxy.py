# SPDX-License-Identifier: Apache-2.0
"""`edge-proxy`: the agent reaches its edge through tinyproxy (HTTP CONNECT) and microsocks (SOCKS5),
and says what is wrong when it doesn't."""

import socket

from support import origin
from support.case import Case, main
from support.process import free_port
from support.require import need
from support.stack import Stack, echo_line, serve
from support.waiting import wait_until

USER, PASSWORD = "agent", "s3cret-of-the-proxy"


def answers(port):
    """True once something listens there."""
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Tinyproxy:
    scheme = "http"

    def __init__(self, case, port, password=None):
        need("tinyproxy")
        login = f"BasicAuth {USER} {password}\n" if password else ""
        config = case.write(f"tinyproxy-{port}.conf",
                            f"Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 50\n"
                            f"Allow 127.0.0.1\nLogLevel Info\n{login}")
        self.argv = ["tinyproxy", "-d", "-c", config]


class Microsocks:
    scheme = "socks5"

    def __init__(self, case, port, password=None):
        need("microsocks")
        login = ["-u", USER, "-P", password] if password else []
        self.argv = ["microsocks", "-i", "127.0.0.1", "-p", str(port), *login]


class Proxy:
    """A running proxy of @kind."""

    def __init__(self, case, kind, password=None):
        self.case, self.port = case, free_port()
        made = kind(case, self.port, password)
        self.argv, self.url = made.argv, f"{made.scheme}://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = self.case.start(f"proxy-{self.port}", self.argv)
        wait_until(lambda: answers(self.port), "the proxy to listen", show=self.process.log_tail)
        return self


class EdgeProxyTest(Case):
    def setUp(self):
        super().setUp()
        need("openssl")
        self.server = serve(self, origin.echo)

    def stack(self, url, password=None, settings="", **options):
        if password:
            path = self.write("proxy-credentials", f"{USER}:{password}\n")
            settings += f"edge-proxy-credentials-file: {path}\n"
        return Stack(self, self.server.port, settings=f"edge-proxy: {url}\n{settings}", **options)

    def assertWorks(self, stack):
        done = stack.connect(b"hello")
        self.assertEqual((done.stdout, done.returncode), (b"hello", 0), done.stderr)

    def assertFails(self, stack, *texts):
        """The agent can't get through, and status and log say why."""
        stack.agent.start()
        said = lambda: [c.get("last_error", "") for c in stack.agent.connections()]
        wait_until(lambda: any(all(t in e for t in texts) for e in said()),
                   f"{texts} in the status", show=lambda: f"{said()}")
        wait_until(lambda: texts[-1] in stack.agent.process.log(), "the reason in the log",
                   show=stack.agent.process.log_tail)
        self.assertEqual(stack.edge.agents(), [])
        self.assertNotIn(PASSWORD, stack.agent.process.log())

    # ---- it works ----

    def check_through(self, kind, password=None):
        proxy = Proxy(self, kind, password).start()
        stack = self.stack(proxy.url, password)
        self.assertWorks(stack)
        self.assertEqual(len(stack.edge.agents()), 4)
        # It is the proxy that all of them come from.
        proxy.process.kill()
        wait_until(lambda: stack.edge.agents() == [], "all connections to be lost")

    def test_http(self):
        self.check_through(Tinyproxy)

    def test_http_with_password(self):
        self.check_through(Tinyproxy, PASSWORD)

    def test_socks(self):
        self.check_through(Microsocks)

    def test_socks_with_password(self):
        self.check_through(Microsocks, PASSWORD)

    def check_name(self, kind):
        """Without any DNS server: the proxy gets the name and resolves it."""
        need("localhost")
        proxy = Proxy(self, kind).start()
        stack = self.stack(proxy.url, settings=f"resolver: 127.0.0.1:{free_port()}\n",
                           edges=lambda edge: f"localhost:{edge.port}")
        self.assertWorks(stack)
        self.assertEqual({c["edge"] for c in stack.agent.connections()},
                         {f"localhost:{stack.edge.port}"})

    def test_http_resolves_the_name(self):
        self.check_name(Tinyproxy)

    def test_socks_resolves_the_name(self):
        self.check_name(Microsocks)

    def test_certificate_is_the_edges(self):
        """The proxy can lead us where it likes: it can't make us believe that it is the edge."""
        proxy = Proxy(self, Microsocks).start()
        stack = self.stack(proxy.url, settings="edge-server-name: edge.example\n", start=False)
        self.assertFails(stack, "certificate")

    # ---- it comes back ----

    def check_killed(self, kind):
        proxy = Proxy(self, kind).start()
        stack = self.stack(proxy.url)
        held = stack.popen()
        echo_line(held, "before")
        proxy.process.kill()
        held.wait()
        wait_until(lambda: stack.agent.state() == "Down", "the agent to notice",
                   show=stack.agent.process.log_tail)
        wait_until(lambda: any("Connection refused" in c.get("last_error", "")
                               for c in stack.agent.connections()), "the proxy's absence")
        proxy.start()
        stack.agent.wait_state("Healthy")
        stack.agent.wait_accepted()
        self.assertWorks(stack)

    def test_http_killed_under_a_session(self):
        self.check_killed(Tinyproxy)

    def test_socks_killed_under_a_session(self):
        self.check_killed(Microsocks)

    # ---- it doesn't work ----

    def check_refused(self, kind):
        proxy = Proxy(self, kind, PASSWORD).start()
        stack = self.stack(proxy.url, "not-it", start=False)
        self.assertFails(stack, f"edge-proxy {proxy.url}: ", "refuses the user or password")

    def test_http_wrong_password(self):
        self.check_refused(Tinyproxy)

    def test_socks_wrong_password(self):
        self.check_refused(Microsocks)

    def check_wanted(self, kind):
        proxy = Proxy(self, kind, PASSWORD).start()
        stack = self.stack(proxy.url, start=False)
        self.assertFails(stack, f"edge-proxy {proxy.url}: ", "the proxy wants credentials")

    def test_http_password_missing(self):
        self.check_wanted(Tinyproxy)

    def test_socks_password_missing(self):
        self.check_wanted(Microsocks)

    def test_no_proxy_there(self):
        url = f"http://127.0.0.1:{free_port()}"
        self.assertFails(self.stack(url, start=False), f"edge-proxy {url}: ", "Connection refused")

    def check_no_edge(self, kind, text):
        proxy = Proxy(self, kind).start()
        nobody = f"127.0.0.1:{free_port()}"
        stack = self.stack(proxy.url, start=False, edges=lambda _: nobody)
        self.assertFails(stack, f"edge-proxy {proxy.url}: ", text)

    def test_http_no_edge_behind_it(self):
        self.check_no_edge(Tinyproxy, "the proxy answered 5")

    def test_socks_no_edge_behind_it(self):
        self.check_no_edge(Microsocks, "SOCKS5 code 5")

    def test_wrong_kind(self):
        proxy = Proxy(self, Microsocks).start()
        url = f"http://127.0.0.1:{proxy.port}"
        self.assertFails(self.stack(url, start=False), f"edge-proxy {url}: ", "not HTTP's")

    def test_garbage(self):
        def talk(sock):
            sock.recv(4096)
            sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 100)
        server = serve(self, talk)
        url = f"http://127.0.0.1:{server.port}"
        self.assertFails(self.stack(url, start=False), f"edge-proxy {url}: ", "not HTTP's")

    def test_bind_address(self):
        """It is the connection to the proxy that starts there."""
        seen = []
        server = serve(self, lambda sock: seen.append(sock.getpeername()[0]))
        url = f"http://127.0.0.1:{server.port}"
        stack = self.stack(url, settings="edge-bind-address: 127.0.0.9\n", start=False)
        self.assertFails(stack, f"edge-proxy {url}: ", "edge-proxy")
        self.assertEqual(set(seen), {"127.0.0.9"})

    def test_endless_head(self):
        def talk(sock):
            sock.recv(4096)
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                sock.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        server = serve(self, talk)
        url = f"http://127.0.0.1:{server.port}"
        self.assertFails(self.stack(url, start=False), f"edge-proxy {url}: ", "larger than 8192")

    def test_never_answers(self):
        def listen(sock):
            while sock.recv(4096):
                pass
        server = serve(self, listen)
        url = f"socks5://127.0.0.1:{server.port}"
        self.assertFails(self.stack(url, start=False), f"edge-proxy {url}: ",
                         "no whole answer in time")

    def test_credentials_file_is_checked(self):
        stack = self.stack("http://127.0.0.1:9", start=False)
        rows = ((f"{USER}:{PASSWORD}\n", 0o644, "chmod"),
                (f"{USER}{PASSWORD}\n", 0o600, "must be one line, user:password"),
                (f"{USER}:{PASSWORD}\nmore\n", 0o600, "must be one line, user:password"),
                (f"{USER}:\n", 0o600, "1 to 255 bytes"))
        for i, (text, mode, why) in enumerate(rows):
            with self.subTest(why=why):
                path = self.write(f"secret-{i}", text, mode)
                stack.agent.configure(settings="edge-proxy: http://127.0.0.1:9\n"
                                      f"edge-proxy-credentials-file: {path}\n")
                agent = stack.agent.start().process
                self.assertEqual(agent.wait(), 78)
                self.assertIn(why, agent.log())
                self.assertIn(path, agent.log())
                self.assertNotIn(PASSWORD, agent.log())

    def test_reload_names_the_restart(self):
        proxy = Proxy(self, Microsocks).start()
        stack = self.stack(proxy.url)
        stack.agent.configure(settings="edge-proxy: http://127.0.0.1:9\n")
        done = stack.agent.reload()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("after a restart only: edge-proxy", done.stdout + done.stderr)
        self.assertEqual(stack.agent.state(), "Healthy")

    def test_password_in_the_url(self):
        stack = self.stack("http://127.0.0.1:9", start=False)
        stack.agent.configure(settings=f"edge-proxy: http://{USER}:{PASSWORD}@127.0.0.1:9\n")
        agent = stack.agent.start().process
        self.assertEqual(agent.wait(), 78)
        self.assertIn("edge-proxy-credentials-file", agent.log())
        self.assertNotIn(PASSWORD, agent.log())


if __name__ == "__main__":
    main()
