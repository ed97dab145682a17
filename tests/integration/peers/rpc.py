# SPDX-License-Identifier: Apache-2.0
"""Messages of the control stream: built, decoded, and the captured ones with ids patched."""

import os
import struct

from peers.capnp import Cap, Reader, Struct, StructList, encode, split

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "golden")

REGISTRATION = 0xF71695EC7FE85497
ROUTES = 0xAD17A0D1E5C0F5B1
REGISTER, UNREGISTER, LOCAL_CONFIG = 0, 1, 2
(UNIMPLEMENTED, ABORT, CALL, RETURN, FINISH, RESOLVE, RELEASE) = range(7)
BOOTSTRAP = 8
RESULTS, EXCEPTION, CANCELED = 0, 1, 2


def golden(scenario, connection, direction):
    """The captured messages of one direction ("agent2edge", "edge2agent") of a connection."""
    path = os.path.join(GOLDEN, scenario, f"conn{connection}-{direction}.bin")
    with open(path, "rb") as f:
        rest = bytearray(f.read())
    messages = split(rest)
    if rest:
        raise ValueError(f"{path}: {len(rest)} bytes left over")
    return messages


def patch_id(message, number):
    """The captured Return, Call or Finish with another question id (first data word)."""
    patched = bytearray(message)
    struct.pack_into("<I", patched, 8 + 3 * 8, number)
    return bytes(patched)


class Message:
    """A decoded RPC message; which members are set depends on `kind`."""

    def __init__(self, raw):
        self.raw = raw
        root = Reader.root(raw)
        self.kind = root.get("H", 0)
        body = root.struct(0)
        self.id = body.get("I", 0) if body else None
        decode = {CALL: self._call, RETURN: self._return, FINISH: self._finish,
                  RELEASE: self._release, ABORT: self._abort}.get(self.kind)
        if decode:
            decode(body)

    def _call(self, body):
        self.method, self.interface = body.get("H", 4), body.get("Q", 8)
        target = body.struct(0)
        self.pipelined = target.get("H", 4) == 1
        self.target = target.struct(0).get("I", 0) if self.pipelined else target.get("I", 0)
        self.params = body.struct(1).struct(0)

    def _return(self, body):
        self.outcome = body.get("H", 6)
        self.reason = body.struct(0).text(0) if self.outcome == EXCEPTION else ""
        payload = body.struct(0) if self.outcome == RESULTS else None
        self.cap = payload.cap(0) if payload else None
        self.results = payload.struct(0) if payload and self.cap is None else None

    def _finish(self, body):
        self.release_caps = not body.get("B", 4) & 1

    def _release(self, body):
        self.count = body.get("I", 4)

    def _abort(self, body):
        self.reason = body.text(0)


def _message(kind, body):
    return encode(Struct(1, 1).put("H", 0, kind).point(0, body))


def bootstrap(question=0):
    return _message(BOOTSTRAP, Struct(1, 1).put("I", 0, question))


def finish(question, release_caps=False):
    return _message(FINISH, Struct(1, 0).put("I", 0, question).put("I", 4, int(not release_caps)))


def abort(reason="rpc: shutdown"):
    return _message(ABORT, Struct(1, 1).point(0, reason))


def _payload(content):
    return Struct(0, 2).point(0, content).point(1, StructList(1, 1))


def call(question, method, params, pipelined_on=None, interface=REGISTRATION):
    """On the imported capability 0, or on the answer of question @pipelined_on."""
    target = Struct(1, 1)
    if pipelined_on is not None:
        answer = Struct(1, 1).put("I", 0, pipelined_on).point(0, StructList(1, 0))
        target.put("H", 4, 1).point(0, answer)
    body = Struct(3, 3).put("I", 0, question).put("H", 4, method).put("Q", 8, interface)
    return _message(CALL, body.point(0, target).point(1, _payload(params)))


def _return(answer, outcome, body):
    head = Struct(2, 1).put("I", 0, answer).put("I", 4, 1).put("H", 6, outcome)
    return _message(RETURN, head.point(0, body))


def results(answer, content):
    return _return(answer, RESULTS, _payload(content))


def exception(answer, reason, kind=0):
    return _return(answer, EXCEPTION, Struct(1, 1).put("H", 4, kind).point(0, reason))


def bootstrap_results(answer):
    caps = StructList(1, 1, [Struct(1, 1).put("H", 0, 1)])
    return _return(answer, RESULTS, Struct(0, 2).point(0, Cap(0)).point(1, caps))


def details(answer, connection_id, location="tst01", remotely_managed=False):
    inner = Struct(1, 2).put("B", 0, int(remotely_managed))
    inner.point(0, connection_id).point(1, location)
    return results(answer, Struct(0, 1).point(0, Struct(1, 1).put("H", 0, 1).point(0, inner)))


def error(answer, cause, should_retry=False, retry_after_ns=0):
    inner = Struct(2, 1).put("q", 0, retry_after_ns).put("B", 8, int(should_retry))
    return results(answer, Struct(0, 1).point(0, Struct(1, 1).point(0, inner.point(0, cause))))


class Registration:
    """The parameters of registerConnection."""

    def __init__(self, account, secret, tunnel_id, index=0, client_id=bytes(16), features=(),
                 version="2026.8.2", arch="linux_amd64", local_ip=b"", attempts=0):
        self.account, self.secret, self.tunnel_id = account, secret, tunnel_id
        self.index, self.client_id, self.features = index, client_id, list(features)
        self.version, self.arch, self.local_ip, self.attempts = version, arch, local_ip, attempts

    @classmethod
    def decode(cls, params):
        auth, options = params.struct(0), params.struct(2)
        client = options.struct(0)
        return cls(auth.text(0), auth.bytes(1), params.bytes(1), params.get("B", 0),
                   client.bytes(0), client.texts(1), client.text(2), client.text(3),
                   options.bytes(1), options.get("B", 2))

    def encode(self):
        auth = Struct(0, 2).point(0, self.account).point(1, self.secret)
        client = Struct(0, 4).point(0, self.client_id).point(1, self.features)
        client.point(2, self.version).point(3, self.arch)
        options = Struct(1, 2).put("B", 2, self.attempts)
        options.point(0, client).point(1, self.local_ip)
        params = Struct(1, 3).put("B", 0, self.index)
        return params.point(0, auth).point(1, self.tunnel_id).point(2, options)


def local_config(json_text):
    return Struct(0, 1).point(0, json_text.encode())


class Advertisement:
    """The parameters of RouteAdvertiser.advertise (wire/adit.capnp)."""

    def __init__(self, params):
        flags = params.get("B", 8)
        self.generation, self.hash_only = params.get("Q", 0), bool(flags & 1)
        self.last = bool(flags & 2)
        self.instance, self.hash = params.bytes(0), params.bytes(1)
        self.networks = [(n.text(0), n.text(1)) for n in params.structs(2)]
        self.routes = [(r.text(0), r.text(1), r.text(2)) for r in params.structs(3)]


def verdicts(answer, reasons, send_all=False):
    """One verdict per reason, "" for accepted."""
    items = [Struct(1, 1).put("B", 0, int(not r)).point(0, r) for r in reasons]
    return results(answer, Struct(1, 1).put("B", 0, int(send_all)).point(
        0, StructList(1, 1, items) if items else None))
