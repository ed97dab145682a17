# SPDX-License-Identifier: Apache-2.0
"""Administration of a running edge through its control socket, over restarts."""

import base64
import json
import os
import stat
import subprocess

from support.case import Case, main
from support.process import free_port
from support.require import need
from support.waiting import wait_until

EDGE = os.path.join(os.environ["ADIT_BUILD_DIR"], "cmd", "adit-edge")
USAGE = 64


class Admin(Case):
    def setUp(self):
        super().setUp()
        self.state = self.path("edge")
        # Where the CA's folder is, the edge can't remove its socket.
        os.mkdir(self.path("run"))
        self.socket = self.path("run/edge.sock")
        self.address = f"127.0.0.1:{free_port()}"
        self.config = self.write("edge.yml", f"listen: {self.address}\n"
                                 f"state-directory: {self.state}\ncontrol-socket: {self.socket}\n")
        self.check("init", "--state-directory", self.state, "--ip", "127.0.0.1", socket=False)
        self.start_edge()

    def start_edge(self):
        self.edge = self.start("edge", [EDGE, "run", "--config", self.config])
        wait_until(lambda: self.ask("status").returncode == 0, "the edge to answer",
                   show=self.edge.log_tail)

    def restart(self):
        self.assertEqual(self.edge.terminate(), 0)
        self.start_edge()

    def ask(self, *argv, socket=True):
        env = {**os.environ, "ADIT_EDGE_CONTROL_SOCKET": self.socket if socket else ""}
        return subprocess.run([EDGE, *argv], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, env=env)

    def check(self, *argv, **options):
        done = self.ask(*argv, **options)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stderr}")
        return done.stdout

    def refused(self, reason, *argv):
        done = self.ask(*argv)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn(reason, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def json(self, *argv):
        return json.loads(self.check(*argv, "--json"))

    def names(self, *argv):
        (rows,) = self.json(*argv).values()
        return [row["name"] for row in rows]


class Start(Admin):
    """What keeps an edge from starting is said, with an exit status that systemd acts on."""

    def run_edge(self, name, **keys):
        text = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in {
            "listen": f"127.0.0.1:{free_port()}", "state_directory": self.path(name),
            "control_socket": self.path(name + ".sock"), **keys}.items())
        done = self.ask("run", "--config", self.write(name + ".yml", text), socket=False)
        return done.returncode, done.stderr

    def test_second_edge(self):
        for key, value in (("state_directory", self.state), ("control_socket", self.socket)):
            self.check("init", "--state-directory", self.path(key), socket=False)
            code, text = self.run_edge(key, **{key: value})
            self.assertEqual(code, 73, text)
            self.assertIn(value, text)

    def test_port_in_use(self):
        self.check("init", "--state-directory", self.path("other"), socket=False)
        code, text = self.run_edge("other", listen=self.address)
        self.assertEqual(code, 1, text)
        self.assertIn(f"{self.address}: Address already in use", text)

    def test_control_socket(self):
        self.check("init", "--state-directory", self.path("other"), socket=False)
        missing = self.path("none/edge.sock")
        for path, reason in ((missing, f"the folder {self.path('none')} is missing"),
                             (self.config, "something that is no socket")):
            code, text = self.run_edge("other", control_socket=path)
            self.assertEqual(code, 1, text)
            self.assertIn(f"control socket {path}: {reason}", text)
            self.assertTrue(os.path.exists(self.config))

    def test_certificates(self):
        code, text = self.run_edge("new")
        self.assertEqual(code, 78, text)
        self.assertIn("new/cert.pem: no certificate yet", text)
        self.assertIn("adit-edge init --state-directory", text)
        junk = self.write("junk.pem", "junk")
        cert, key = (os.path.join(self.state, name) for name in ("cert.pem", "key.pem"))
        other = os.path.join(f"{self.state}-ca", "ca-key.pem")
        for files, reason in (((junk, key), "it isn't in PEM format"),
                              ((cert, junk), "it isn't in PEM format"),
                              ((cert, other), f"{other}: the key doesn't belong to {cert}"),
                              ((cert, self.path("none")), "No such file")):
            code, text = self.run_edge("new", certificate=files[0], key=files[1])
            self.assertEqual(code, 78, text)
            self.assertIn(reason, text)
            self.assertNotIn("adit-edge init", text)
        os.chmod(key, 0o604)
        self.addCleanup(os.chmod, key, 0o600)
        code, text = self.run_edge("new", certificate=cert, key=key)
        self.assertEqual(code, 78, text)
        self.assertIn(f"{key}: open to everybody (mode 0604); run: chmod o= '{key}'", text)

    def openssl(self, *argv):
        subprocess.run(["openssl", *argv], check=True, capture_output=True, timeout=60)

    def test_certificate_near_its_end(self):
        need("openssl")
        cert, key, request = (self.path(f"short.{name}") for name in ("pem", "key", "csr"))
        self.openssl("req", "-new", "-newkey", "ed25519", "-nodes", "-subj", "/CN=edge",
                     "-keyout", key, "-out", request)
        os.mkdir(self.path("short"))
        for days, reason in (("9", "ends soon: adit-edge cert renew"), ("-1", "has ended")):
            self.openssl("x509", "-req", "-days", days, "-in", request, "-signkey", key,
                         "-out", cert)
            config = self.write("short.yml", f"listen: 127.0.0.1:{free_port()}\n"
                                f"certificate: {cert}\nkey: {key}\n"
                                f"state-directory: {self.path('short')}\n"
                                f"control-socket: {self.path('short.sock')}\n")
            edge = self.start("short" + days, [EDGE, "run", "--config", config])
            edge.wait_log(reason)
            self.assertEqual(edge.terminate(), 0)


class Tunnels(Admin):
    def test_credentials_and_token(self):
        path = self.path("t1.json")
        self.check("tunnel", "create", "t1", "--credentials-file", path)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, encoding="utf-8") as file:
            credentials = json.load(file)
        self.assertEqual(sorted(credentials), ["AccountTag", "Endpoint", "TunnelID",
                                               "TunnelSecret"])
        self.assertEqual(len(base64.b64decode(credentials["TunnelSecret"], validate=True)), 32)
        token = json.loads(base64.b64decode(self.check("tunnel", "token", "t1").split()[-1]))
        self.assertEqual((token["a"], token["t"]),
                         (credentials["AccountTag"], credentials["TunnelID"]))
        self.assertNotEqual(token["s"], credentials["TunnelSecret"])
        self.assertEqual(len(self.json("tunnel", "secret", "list", "t1")["secrets"]), 2)

    def test_no_secret_is_kept(self):
        secret = json.loads(self.check("tunnel", "create", "t1", "--json"))
        self.assertEqual(self.edge.terminate(), 0)
        raw = base64.b64decode(secret["credentials"]["TunnelSecret"])
        for folder, _, files in os.walk(self.tmp):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                self.assertNotIn(raw, content, name)
                self.assertNotIn(secret["credentials"]["TunnelSecret"].encode(), content, name)
                self.assertNotIn(secret["token"].encode(), content, name)

    def test_a_file_that_exists_is_not_overwritten(self):
        path = self.write("mine", "precious")
        self.refused("exists", "tunnel", "create", "t1", "--credentials-file", path)
        self.assertEqual(self.names("tunnel", "list"), [])
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")

    def test_names_are_checked(self):
        self.check("tunnel", "create", "office")
        self.refused("there is a tunnel office already", "tunnel", "create", "office")
        self.refused("did you mean office?", "tunnel", "info", "ofice")
        for name in ("-", "a b", "x" * 64, "a/b", ".a", "\u00e4",
                     "01234567-89ab-cdef-0123-456789abcdef"):
            self.refused("name", "tunnel", "create", "--", name)

    def test_rotate_revoke_and_delete(self):
        self.check("tunnel", "create", "t1")
        self.check("tunnel", "rotate", "t1", "--grace", "2h")
        secrets = self.json("tunnel", "secret", "list", "t1")["secrets"]
        self.assertEqual([s["expires"] is None for s in secrets], [False, True])
        self.refused("no secret zz", "tunnel", "secret", "revoke", "t1", "zz")
        self.check("tunnel", "secret", "revoke", "t1", secrets[0]["id"])
        self.check("tunnel", "rotate", "t1", "--grace", "0")
        rest = self.json("tunnel", "secret", "list", "t1")["secrets"]
        self.assertEqual(len(rest), 1)
        self.assertNotIn(rest[0]["id"], [s["id"] for s in secrets])
        for _ in range(7):
            self.check("tunnel", "token", "t1")
        self.refused("has 8 secrets", "tunnel", "token", "t1")
        self.check("tunnel", "delete", "t1")
        self.assertEqual(self.names("tunnel", "list"), [])

    def test_everything_outlives_a_restart(self):
        self.check("tunnel", "create", "t1")
        self.check("grant", "add", "t1", "10.0.0.0/8", "--override")
        self.check("grant", "add", "t1", "--network-name", "lab")
        self.check("vnet", "add", "office", "--default", "--comment", "the new one")
        self.check("route", "add", "10.1.0.0/16", "t1", "--virtual-network", "default")
        self.check("client", "add", "alice", "--output", self.path("a.json"), "--edge", "e:1")
        self.check("client", "grant", "add", "alice", "10.0.0.0/8", "--ports", "22,8000-8100")
        questions = (("tunnel", "list"), ("tunnel", "secret", "list", "t1"), ("grant", "list"),
                     ("vnet", "list"), ("route", "list"), ("client", "list"),
                     ("client", "grant", "list"))
        before = [self.json(*q) for q in questions]
        self.restart()
        self.assertEqual([self.json(*q) for q in questions], before)
        self.edge.kill()
        self.start_edge()
        self.assertEqual([self.json(*q) for q in questions], before)


class Clients(Admin):
    def test_credentials_file(self):
        path = self.path("alice.json")
        self.check("client", "add", "alice", "--email", "a@example.org", "--output", path,
                   "--edge", self.address, "--edge", "edge.example.org:443",
                   "--server-name", "h2.cftunnel.com")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        with open(os.path.join(self.state, "ca.pem"), encoding="utf-8") as file:
            ca = file.read()
        self.assertRegex(content.pop("token"), r"^adit_[0-9a-f]{16}\.[0-9a-f]{64}$")
        self.assertEqual(content, {"version": 1, "name": "alice", "email": "a@example.org",
                                   "edges": [self.address, "edge.example.org:443"], "ca": ca,
                                   "server_name": "h2.cftunnel.com"})

    def test_what_is_missing_is_said(self):
        for argv, text in (((), "--output is missing"),
                           (("--output", self.path("x")), "--edge is missing"),
                           (("--output", self.path("x"), "--edge", "host"), "HOST:PORT")):
            done = self.ask("client", "add", "alice", *argv)
            self.assertEqual(done.returncode, USAGE)
            self.assertIn(text, done.stderr)
        self.assertFalse(os.path.exists(self.path("x")))

    def test_revoke_and_return(self):
        self.check("client", "add", "alice", "--output", self.path("1"), "--edge", "e:1")
        self.check("client", "revoke", "alice")
        (alice,) = self.json("client", "list")["clients"]
        self.assertEqual((alice["state"], alice["tokens"]), ("revoked", 0))
        self.refused("client token alice", "client", "add", "alice", "--output", self.path("2"),
                     "--edge", "e:1")
        self.assertFalse(os.path.exists(self.path("2")))
        self.check("client", "token", "alice", "--output", self.path("2"), "--edge", "e:1")
        (alice,) = self.json("client", "list")["clients"]
        self.assertEqual((alice["state"], alice["tokens"]), ("valid", 1))
        self.refused("no token zz", "client", "revoke", "alice", "--token", "zz")

    def test_grants(self):
        self.check("client", "add", "alice", "--output", self.path("1"), "--edge", "e:1")
        self.check("client", "grant", "add", "alice", "10.0.0.0/8", "--ports", "22,80")
        self.check("client", "grant", "add", "alice", "127.0.0.1/32")
        rows = self.json("client", "grant", "list", "alice")["grants"]
        self.assertEqual([(r["prefix"], r["ports"]) for r in rows],
                         [("10.0.0.0/8", "22,80"), ("127.0.0.1/32", "all")])
        self.refused("loopback", "client", "grant", "add", "alice", "127.0.0.0/8")
        self.refused("10.0.0.0/8 is meant", "client", "grant", "add", "alice", "10.0.0.1/8")
        self.refused("ports", "client", "grant", "add", "alice", "10.0.0.0/8", "--ports", "0")
        self.refused("no virtual network lab", "client", "grant", "add", "alice", "10.0.0.0/8",
                     "--virtual-network", "lab")
        self.check("client", "grant", "delete", "alice", "10.0.0.0/8")
        self.refused("no grant", "client", "grant", "delete", "alice", "10.0.0.0/8")


class Routes(Admin):
    def test_owner_longest_match_and_networks(self):
        for name in ("t1", "t2"):
            self.check("tunnel", "create", name)
        self.check("route", "add", "10.0.0.0/8", "t1", "--comment", "wide")
        self.check("route", "add", "10.1.0.0/16", "t2")
        self.refused("owned by tunnel t1", "route", "add", "10.0.0.0/8", "t2")
        self.assertEqual(self.json("route", "get", "10.1.2.3")["tunnel"], "t2")
        self.assertEqual(self.json("route", "get", "::ffff:10.2.2.3")["tunnel"], "t1")
        self.refused("no route to 11.0.0.1 in default", "route", "get", "11.0.0.1")
        self.refused("not an IP address", "route", "get", "host")
        self.check("vnet", "add", "lab")
        self.check("route", "add", "10.0.0.0/8", "t2", "--virtual-network", "lab")
        self.refused("lab still has routes", "vnet", "delete", "lab")
        self.check("route", "delete", "10.0.0.0/8", "--virtual-network", "lab")
        self.check("vnet", "delete", "lab")
        self.check("tunnel", "delete", "t1")
        self.assertEqual([r["network"] for r in self.json("route", "list")["routes"]],
                         ["10.1.0.0/16"])
        self.check("tunnel", "delete", "t2")
        self.refused("default is the default", "vnet", "delete", "default")


class Rest(Admin):
    def test_status_and_connections(self):
        self.assertEqual(self.json("connections"), {"connections": []})
        self.assertIn("version", self.check("status"))
        self.refused("no connection nothing", "connection", "close", "nothing")
        done = self.ask("connection", "close", "x", "--hold", "soon")
        self.assertEqual(done.returncode, USAGE)

    def test_certificate(self):
        done = self.ask("init", "--state-directory", self.state, socket=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("exists", done.stderr)
        with open(os.path.join(self.state, "cert.pem"), encoding="utf-8") as file:
            before = file.read()
        self.check("cert", "renew", "--state-directory", self.state, socket=False)
        with open(os.path.join(self.state, "cert.pem"), encoding="utf-8") as file:
            self.assertNotEqual(file.read(), before)
        done = self.ask("cert", "renew", "--state-directory", self.state, "--name", "other.org",
                        socket=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("new CA", done.stderr)

    def test_no_edge_there(self):
        self.assertEqual(self.edge.terminate(), 0)
        done = self.ask("tunnel", "list", "--socket", self.socket, socket=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(self.socket, done.stderr)


if __name__ == "__main__":
    main()
