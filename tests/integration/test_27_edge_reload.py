# SPDX-License-Identifier: Apache-2.0
"""`adit-edge reload` and SIGHUP: what changes, what needs a restart, what is refused and why."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading

from support.case import Case, main
from support.process import free_port
from support.waiting import wait_until

EDGE = os.path.join(os.environ["ADIT_BUILD_DIR"], "cmd", "adit-edge")


class ReloadTest(Case):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        # Files that are replaced can't have the CA's folder beside them.
        os.mkdir(self.path("etc"))
        self.state = self.path("edge")
        self.head = (f"listen: 127.0.0.1:{self.port}\nstate-directory: {self.state}\n"
                     f"control-socket: {self.path('etc/edge.sock')}\n")
        self.init(self.state)

    def init(self, folder):
        self.check("init", "--state-directory", folder, "--ip", "127.0.0.1")

    def configure(self, settings, head=None):
        self.config = self.write("etc/edge.yml", (head or self.head) + settings)

    def run_edge(self, settings="", **options):
        self.configure(settings)
        self.edge = self.start("edge", [EDGE, "run", "--config", self.config], **options)
        wait_until(lambda: self.ask("status").returncode == 0, "the edge to answer",
                   show=self.edge.log_tail)

    def ask(self, *argv):
        env = {**os.environ, "ADIT_EDGE_CONTROL_SOCKET": self.path("etc/edge.sock")}
        return subprocess.run([EDGE, *argv], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, env=env)

    def check(self, *argv):
        done = self.ask(*argv)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stderr}")
        return done.stdout

    def reload(self):
        answer = json.loads(self.check("reload", "--json"))
        return answer["changed"], answer["warnings"]

    def assertRefused(self, *words):
        done = self.ask("reload")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        for word in words:
            self.assertIn(word, done.stderr)
        for line in done.stderr.splitlines():
            self.assertRegex(line, r"^adit-edge reload: \S")
        self.assertNotIn(r"\x0a", done.stderr)
        refusals = [line for line in self.edge.log().splitlines() if "config not reloaded" in line]
        self.assertTrue(refusals)
        self.assertNotRegex(refusals[-1], r"(\\n|\\x0a)\W*$")
        self.assertTrue(self.edge.running())

    def serial(self):
        """Of the certificate that newcomers are shown."""
        with self.shake_hands() as tls:
            return hash(tls.getpeercert(binary_form=True))

    def test_changes_are_named(self):
        self.run_edge()
        self.assertEqual(self.reload(), ([], []))
        self.assertEqual(self.check("reload"), "reloaded; nothing changed\n")
        self.configure("loglevel: debug\ndrain-timeout: 1s\nroute-hold: 2h\nduplicates: reject\n"
                       "limits:\n  max-clients: 7\n")
        changed, warnings = self.reload()
        self.assertEqual(sorted(changed),
                         ["drain-timeout", "duplicates", "limits", "loglevel", "route-hold"])
        self.assertEqual(warnings, [])
        self.assertIn("config changed key=drain-timeout", self.edge.log())

    def test_log_level_takes_effect(self):
        self.run_edge()
        self.serial()
        self.assertNotIn(" DBG ", self.edge.log())
        self.configure("loglevel: debug\n")
        self.check("reload")
        self.serial()
        self.edge.wait_log(" DBG ")

    def shake_hands(self):
        """A link that says nothing more, as an agent's: no ALPN."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        tls = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 60))
        self.addCleanup(tls.close)
        return tls

    def ends(self, tls):
        try:
            while tls.recv(4096):
                pass
        except OSError:
            pass

    def test_limits_take_effect(self):
        self.run_edge("loglevel: debug\n")
        first = self.shake_hands()
        self.configure("loglevel: debug\nlimits:\n  max-connections: 1\n")
        self.check("reload")
        second = self.shake_hands()
        # A stranger's place goes to the next.
        self.ends(first)
        self.edge.wait_log("its place is needed")
        self.shake_hands()
        self.ends(second)

    def test_restart_keys_are_named_until_the_restart(self):
        self.run_edge()
        self.configure("location: elsewhere\nlog-format: json\ndrain-timeout: 1s\n")
        changed, warnings = self.reload()
        self.assertEqual(changed, ["drain-timeout"])
        self.assertEqual([w.split(":")[0] for w in warnings], ["location", "log-format"])
        changed, warnings = self.reload()
        self.assertEqual((changed, len(warnings)), ([], 2))
        self.configure("drain-timeout: 1s\n")
        self.assertEqual(self.reload(), ([], []))
        # The format of lines is one of those keys.
        self.assertNotIn("{", self.edge.log())

    def test_bad_file_changes_nothing(self):
        self.run_edge("loglevel: debug\n")
        for settings, words in (("drain-timeout: long\n", ["edge.yml:4", "drain-timeout"]),
                                ("drian-timeout: 1s\n", ["drian-timeout", "drain-timeout"]),
                                ("drian-timeout: 1s\ndrain-timeout: long\n",
                                 ["edge.yml:4", "edge.yml:5"]),
                                ("nonsense: [\n", ["edge.yml"])):
            with self.subTest(settings):
                self.configure(settings)
                self.assertRefused(*words)
        os.unlink(self.config)
        self.assertRefused("edge.yml", "No such file")
        self.configure("loglevel: debug\n")
        self.assertEqual(self.reload(), ([], []))

    def test_certificate(self):
        self.run_edge()
        first = self.serial()
        self.check("cert", "renew", "--state-directory", self.state)
        self.assertEqual(self.reload(), ([], []))
        second = self.serial()
        self.assertNotEqual(first, second)
        other = self.path("etc/other")
        self.init(other)
        self.configure(f"certificate: {other}/cert.pem\nkey: {other}/key.pem\n"
                       f"ca: {other}/ca.pem\n")
        changed, _ = self.reload()
        self.assertEqual(sorted(changed), ["ca", "certificate", "key"])
        self.assertNotEqual(second, self.serial())

    def test_bad_certificate_changes_nothing(self):
        self.run_edge()
        first, other = self.serial(), self.path("etc/other")
        self.init(other)
        junk = self.write("etc/junk.pem", "junk")
        for settings, words in (
                (f"certificate: {junk}\n", ["junk.pem", "PEM"]),
                (f"certificate: {other}/cert.pem\n", ["key.pem", "belong"]),
                (f"certificate: {self.path('etc/none.pem')}\n", ["none.pem"]),
                (f"ca: {self.path('etc/none.pem')}\n", ["ca: ", "none.pem", "No such file"])):
            with self.subTest(settings):
                self.configure("drain-timeout: 1s\n" + settings)
                self.assertRefused(*words)
                self.assertEqual(self.serial(), first)
        self.configure("")
        self.assertEqual(self.reload(), ([], []))

    def test_flags_beat_the_file(self):
        self.configure("")
        self.edge = self.start("edge", [EDGE, "run", "--config", self.config,
                                        "--loglevel", "debug"])
        wait_until(lambda: self.ask("status").returncode == 0, "the edge to answer",
                   show=self.edge.log_tail)
        self.configure("loglevel: error\n")
        self.assertEqual(self.reload(), ([], []))

    def test_hang_up(self):
        self.run_edge()
        self.configure("drain-timeout: 1s\n")
        self.edge.signal(signal.SIGHUP)
        self.edge.wait_log("config changed key=drain-timeout")
        self.configure("drain-timeout: long\n")
        self.edge.signal(signal.SIGHUP)
        self.edge.wait_log("config not reloaded: the old one stays in force")
        self.edge.wait_log("edge.yml:4")
        self.configure("drain-timeout: 1s\n")
        self.assertEqual(self.reload(), ([], []))

    def test_systemd_is_told(self):
        messages = []
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.bind(self.path("notify.sock"))

        def listen():
            while True:
                try:
                    messages.append(notify.recv(4096).decode())
                except OSError:
                    return
        threading.Thread(target=listen, daemon=True).start()
        self.run_edge(env={"NOTIFY_SOCKET": self.path("notify.sock")})
        wait_until(lambda: messages, "READY")
        for settings in ("drain-timeout: 1s\n", "nonsense\n"):
            del messages[:]
            self.configure(settings)
            self.ask("reload")
            wait_until(lambda: len(messages) >= 2, "two messages")
            self.assertRegex(messages[0], r"^RELOADING=1\nMONOTONIC_USEC=[0-9]+\n$")
            self.assertTrue(messages[1].startswith("READY=1\n"))


if __name__ == "__main__":
    main()
