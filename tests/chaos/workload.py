# SPDX-License-Identifier: Apache-2.0
"""Users at work: transfers that follow one another without a pause, and shells that wait.

Each worker is a thread with one session at a time. A transfer is slow on purpose (SLOW_BYTES_PER_S):
it is to be under way when something happens. One that fails is repeated, as fast as it goes, until it
succeeds.
"""

import dataclasses
import hashlib
import ipaddress
import os
import random
import selectors
import shlex
import signal
import subprocess
import threading
import time

from chaos.world import EDGES, HOSTS

SIZES = (200_000, 400_000, 800_000)
SLOW_BYTES_PER_S = 64 * 1024
PIECE = 16384
# Prints a file in pieces with pauses, without a process for each of them.
PACED = ("$| = 1; open F, shift; while (read F, $b, %d) { print $b or exit 1; "
         "select undef, undef, undef, %s }")
# Many handshakes at once: none of them need outlive a quantum computer.
CHEAP = ("-o", "KexAlgorithms=curve25519-sha256", "-o", "Ciphers=aes128-gcm@openssh.com")
CONTROL_EVERY_S = 1.0
TRANSFERS = ("ssh get", "ssh put", "scp get", "scp put", "rsync get", "rsync put")
ASK_EVERY_S = 2.0           # a shell, for an echo
HUNG_S = 90                 # a transfer that lasts so long, or a shell that doesn't answer, is given up
REPEATS_MAX = 60
# Repeats at once that are timed. Fifty handshakes of ssh on a few cores would time those cores: who finds
# no room waits for a while, and then only has to succeed.
TIMED_MAX = 4
LATER_S = (3, 9)
SCP_SAYS = ("scp:", "lost connection")
REPEAT_AFTER_S = 0.1        # as soon as a script would


@dataclasses.dataclass
class Session:
    number: int
    kind: str
    edge: str                   # the one that it tries first
    repeats: "Session" = None   # the one that failed before
    address: str = ""
    pid: int = 0
    began: float = 0.0          # all times are of time.time(), as logs have them
    ended: float = 0.0
    status: int = None
    said: list = dataclasses.field(default_factory=list)    # (time, line of stderr)
    stalls: list = dataclasses.field(default_factory=list)  # (time, seconds until the echo)
    is_right: bool = True       # what arrived is what was sent
    hung: bool = False
    timed: bool = False         # a repeat that began at once

    @property
    def over(self):
        """When ssh had ended. scp with a limit may sleep for two seconds before it looks."""
        if not self.kind.startswith("scp") or self.status == 0:
            return self.ended
        return next((when for when, line in reversed(self.said) if not line.startswith(SCP_SAYS)),
                    self.ended)

    @property
    def ok(self):
        return self.status == 0 and self.is_right and not self.hung


def digest(path):
    try:
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()
    except OSError:
        return "missing"


class Workload:
    """@n_transfers and @n_shells at a time, until stop()."""

    def __init__(self, world, n_transfers, n_shells, seed):
        self.world, self.random, self.lock = world, random.Random(seed), threading.Lock()
        self.sessions = []
        self.stopping, self.given_up = threading.Event(), threading.Event()
        self.timing = threading.Semaphore(TIMED_MAX)
        self.folder = world.case.path("files")
        os.mkdir(self.folder)
        self.sources = [self._source(i, size) for i, size in enumerate(SIZES)]
        self.options = world.sshd.ssh_options() + list(CHEAP)
        spread_s = min(20, n_transfers / 10)
        self.threads = [threading.Thread(target=self._transfers, args=(i * spread_s / n_transfers,))
                        for i in range(n_transfers)]
        self.threads += [threading.Thread(target=self._shells) for _ in range(n_shells)]
        self.threads.append(threading.Thread(target=self._controls))
        self.controls = []          # (began, ended)

    def _source(self, i, size):
        path = os.path.join(self.folder, f"source{i}")
        with open(path, "wb") as f:
            f.write(self.random.randbytes(size))
        return path, digest(path)

    def start(self):
        for thread in self.threads:
            thread.daemon = True
            thread.start()

    def stop(self, deadline_s):
        """No new sessions; shells leave; what is under way comes to its end, or is killed."""
        self.stopping.set()
        end = time.monotonic() + deadline_s
        for thread in self.threads:
            thread.join(max(0, end - time.monotonic()))
        self.given_up.set()
        for session in self.running():
            session.hung = True
            self._kill(session)
        for thread in self.threads:
            thread.join(10)

    def running(self):
        with self.lock:
            return [s for s in self.sessions if s.pid and not s.ended]

    def session_of(self, pid):
        """The session whose process, or whose descendant, @pid is; None when it is nobody's."""
        by_pid = {s.pid: s for s in self.running()}
        while pid > 1 and pid not in by_pid:
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                    pid = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                return None
        return by_pid.get(pid)

    # ---- workers ----

    def _new(self, kind, repeats=None):
        with self.lock:
            number = len(self.sessions)
            edge = repeats.edge if repeats else self.random.choice(list(EDGES))
            session = Session(number, kind, edge, repeats)
            # Neither the network's own address nor one that was asked for before.
            session.address = str(ipaddress.ip_network(HOSTS)[number + 1])
            self.sessions.append(session)
        return session

    def _transfers(self, delay_s):
        self.stopping.wait(delay_s)
        while not self.stopping.is_set():
            with self.lock:
                kind, source = self.random.choice(TRANSFERS), self.random.choice(self.sources)
            session = self._transfer(self._new(kind), source, SLOW_BYTES_PER_S)
            if not session.ok and not session.hung:
                self._repeat(session, source)

    def _repeat(self, session, source):
        timed = self.timing.acquire(blocking=False)
        if not timed:
            self._wait_for_later()
        for _ in range(REPEATS_MAX):
            if self.given_up.wait(REPEAT_AFTER_S):
                break
            session = self._new(session.kind, session)
            session.timed = timed
            if self._transfer(session, source, 0).ok or session.hung:
                break
        if timed:
            self.timing.release()

    def _wait_for_later(self):
        with self.lock:
            pause_s = self.random.uniform(*LATER_S)
        self.given_up.wait(pause_s)

    def _shells(self):
        session = None
        while not self.stopping.is_set():
            failed = session if session and not session.ok and not session.hung else None
            if failed:
                self._wait_for_later()
            session = self._new("shell", failed)
            self._run(session, self._ssh(session, "while read l; do echo $l; done"),
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _controls(self):
        """What a transfer takes on this machine now, with the same server and without us."""
        argv = [*self.world.prefix("a"), "ssh", *self.options, f"{self.world.sshd.user}@127.0.0.1",
                f"cat {self.sources[-1][0]}"]
        while not self.stopping.wait(CONTROL_EVERY_S):
            began = time.time()
            subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
                           timeout=HUNG_S)
            self.controls.append((began, time.time()))

    # ---- one session ----

    def _shell_words(self, session):
        """ssh with all its options; ControlPath and the like are none of the user's."""
        return ["ssh", *self.options, "-o",
                f"ProxyCommand={self.world.proxy_command(session.edge)}"]

    def _target(self, session):
        return f"{self.world.sshd.user}@{session.address}"

    def _ssh(self, session, command):
        return [*self._shell_words(session), self._target(session), command]

    @staticmethod
    def _paced(source, rate):
        """A shell command that prints the file @source."""
        if not rate:
            return f"cat {source}"
        return shlex.join(["perl", "-e", PACED % (PIECE, PIECE / rate), source])

    def _transfer(self, session, source, rate):
        path, want = source
        to = os.path.join(self.folder, f"copy{session.number}")
        tool, direction = session.kind.split()
        if tool == "ssh":
            argv, stdout = self._by_ssh(session, direction, path, to, rate)
        else:
            far = f"{self._target(session)}:"
            ends = [far + path, to] if direction == "get" else [path, far + to]
            argv, stdout = getattr(self, f"_by_{tool}")(session, rate) + ends, None
        self._run(session, argv, stdout=stdout or subprocess.DEVNULL)
        if session.status == 0:
            session.is_right = digest(to) == want
        for name in (to, stdout):
            if isinstance(name, str) and os.path.exists(name):
                os.unlink(name)
        return session

    def _by_ssh(self, session, direction, path, to, rate):
        if direction == "get":
            return self._ssh(session, self._paced(path, rate)), to
        ssh = shlex.join(self._ssh(session, f"cat >{to}"))
        return ["sh", "-c", f"({self._paced(path, rate)}) | {ssh}"], None

    def _by_scp(self, session, rate):
        limit = ["-l", str(rate * 8 // 1000)] if rate else []
        return ["scp", "-q", *limit, *self._shell_words(session)[1:]]

    def _by_rsync(self, session, rate):
        limit = [f"--bwlimit={rate // 1024}"] if rate else []
        return ["rsync", "--whole-file", *limit, "-e", shlex.join(self._shell_words(session))]

    def _run(self, session, argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
        """To its end: fills in what @session is for."""
        out = open(stdout, "wb") if isinstance(stdout, str) else stdout
        session.began = time.time()
        popen = subprocess.Popen(self.world.prefix("users") + argv, stdin=stdin, stdout=out,
                                 stderr=subprocess.PIPE, start_new_session=True)
        session.pid = popen.pid
        try:
            Attendant(session, popen, self.stopping).attend()
        finally:
            session.status = self._reap(session, popen)
            session.ended = time.time()
            for f in (popen.stdin, popen.stdout, popen.stderr, out):
                if hasattr(f, "close"):
                    _close(f)

    def _reap(self, session, popen):
        if session.hung:
            self._kill(session)
        try:
            return popen.wait(HUNG_S)
        except subprocess.TimeoutExpired:
            session.hung = True
            self._kill(session)
            return popen.wait()

    @staticmethod
    def _kill(session):
        """The session has a process group, which is ours."""
        try:
            os.killpg(session.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _close(f):
    try:
        f.close()
    except OSError:
        pass


class Attendant:
    """Reads what a session says until it says no more; asks a shell for echoes."""

    def __init__(self, session, popen, stopping):
        self.session, self.popen, self.stopping = session, popen, stopping
        self.asked = self.answered = time.time()
        self.rest = b""

    def attend(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.popen.stderr, selectors.EVENT_READ)
            if self.popen.stdout:
                selector.register(self.popen.stdout, selectors.EVENT_READ)
            while self.popen.stderr in [key.fileobj for key in selector.get_map().values()]:
                for key, _ in selector.select(0.5):
                    self._read(selector, key.fileobj)
                if self.popen.stdout:
                    self._ask()
                if time.time() - self.answered > HUNG_S:
                    self.session.hung = True
                    return

    def _read(self, selector, f):
        now, data = time.time(), os.read(f.fileno(), 4096)
        if not data:
            selector.unregister(f)
        elif f is self.popen.stderr:
            for line in data.decode(errors="replace").splitlines():
                self.session.said.append((now, line))
        else:
            self._hear(now, data)

    def _hear(self, now, data):
        if data.count(b"\n") and self.answered < self.asked:
            self.session.stalls.append((self.asked, now - self.asked))
            self.answered = now

    def _ask(self):
        now = time.time()
        waits = self.answered < self.asked
        if self.stopping.is_set() and self.popen.stdin:
            # The end of its input is the end of a shell; it still has to say goodbye.
            _close(self.popen.stdin)
            self.popen.stdin = None
        elif not waits and now - self.asked >= ASK_EVERY_S and self.popen.stdin:
            self.asked = now
            try:
                self.popen.stdin.write(b"%d\n" % self.session.number)
                self.popen.stdin.flush()
            except OSError:
                self.popen.stdin = None
