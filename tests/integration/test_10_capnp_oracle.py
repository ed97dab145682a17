# SPDX-License-Identifier: Apache-2.0
"""The capnp tool as the judge of our codec: it reads what we write, we read what it writes."""

import hashlib
import json
import os
import subprocess
import unittest

from support.case import Case, main
from support.require import need

SOURCE = os.environ.get("ADIT_SOURCE_DIR") or \
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DUMP = os.path.join(os.environ.get("ADIT_BUILD_DIR", os.path.join(SOURCE, "build")),
                    "tests", "capnp_dump")
RPC = "/usr/include/capnp/rpc.capnp"
TYPED = os.path.join(SOURCE, "tests", "typedrpc.capnp")
REGISTRATION = 0xf71695ec7fe85497
ROUTES = 0xad17a0d1e5c0f5b1

PARAMS = "params = (content = <opaque pointer>, capTable = []), " \
         "sendResultsTo = (caller = void), allowThirdPartyTailCall = false)"
RESULTS = "(return = (answerId = 1, releaseParamCaps = false, " \
          "results = (content = <opaque pointer>, capTable = [])))"
BOOTSTRAP = "(return = (answerId = 0, releaseParamCaps = false, results = " \
            "(content = <opaque pointer>, capTable = [(senderHosted = 0, attachedFd = 255)])))"


def call(interface, method, target="importedCap = 0"):
    return f"(call = (questionId = 1, target = ({target}), interfaceId = {interface}, " \
           f"methodId = {method}, {PARAMS})"


def finish(question):
    return f"(finish = (questionId = {question}, releaseResultCaps = false))"


REGISTERING = [
    "(bootstrap = (questionId = 0))",
    call(REGISTRATION, 0, "promisedAnswer = (questionId = 0, transform = [])"),
    finish(0), finish(1),
]
AGENT = REGISTERING + [
    call(REGISTRATION, 2), finish(1),
    call(ROUTES, 0), finish(1),
    call(REGISTRATION, 1), finish(1),
    "(release = (id = 0, referenceCount = 1))",
    '(abort = (reason = "rpc: shutdown", obsoleteIsCallersFault = false, '
    "obsoleteDurability = 0, type = failed))",
] + REGISTERING
EDGE = [BOOTSTRAP] + 4 * [RESULTS] + [BOOTSTRAP, RESULTS]

REGISTER_TEXT = """(tag = 2, call = (questionId = 1, interfaceId = %d,
    target = (tag = 1, promisedAnswer = (questionId = 0, transform = [])),
    params = (content = (
        auth = (accountTag = "tool", tunnelSecret = 0x"00 ff 10"),
        tunnelId = 0x"01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10",
        connIndex = 2,
        options = (
            client = (clientId = 0x"10 0f 0e 0d 0c 0b 0a 09 08 07 06 05 04 03 02 01",
                features = ["one", "two", "three"], version = "9.9", arch = "plan9_arm"),
            originLocalIp = 0x"0a 01 02 03", replaceExisting = true,
            compressionQuality = 7, numPreviousAttempts = 200)))))""" % REGISTRATION
REGISTER_LINE = "register tag=tool secret=00ff10 tunnel=0102030405060708090a0b0c0d0e0f10 " \
    "client=100f0e0d0c0b0a090807060504030201 index=2 version=9.9 arch=plan9_arm ip=10.1.2.3 " \
    "replace=1 quality=7 attempts=200 features=one,two,three,"
CONFIG_TEXT = """(tag = 2, call = (questionId = 2, interfaceId = %d, methodId = 2,
    target = (importedCap = 0), params = (content = (config = "{\\"a\\":1}"))))""" % REGISTRATION
ADVERTISE_TEXT = """(tag = 2, call = (questionId = 3, interfaceId = %d, target = (importedCap = 0),
    params = (content = (instanceId = 0x"%s", generation = 77, hash = 0x"%s", last = true,
        virtualNetworks = [(name = "a", comment = "first"), (name = "b")],
        routes = [(network = "10.0.0.0/8", virtualNetwork = "a", comment = "c"),
                  (network = "192.0.2.1/32")]))))""" % (ROUTES, "44 " * 16, "55 " * 32)
ADVERTISE_LINE = "advertise generation=77 hash_only=0 last=1 instance=" + 16 * "44" + \
    " vnet=a/first vnet=b/ route=10.0.0.0/8@a/c route=192.0.2.1/32@/"
UNREGISTER_TEXT = "(tag = 2, call = (questionId = 4, interfaceId = %d, methodId = 1, " \
    "target = (importedCap = 0), params = (content = ())))" % REGISTRATION

DETAILS_TEXT = """(tag = 3, ret = (answerId = 1, results = (content = (result = (result = (
    connectionDetails = (uuid = 0x"%s", locationName = "tool01")))))))""" % ("66 " * 16)
ERROR_TEXT = """(tag = 3, ret = (answerId = 1, results = (content = (result = (result = (
    error = (cause = "EDUPCONN", retryAfter = -5, shouldRetry = true)))))))"""
VERDICTS_TEXT = """(tag = 3, ret = (answerId = 2, results = (content = (
    verdicts = [(accepted = true), (reason = "no"), (accepted = true)]))))"""
EXCEPTION_TEXT = """(return = (answerId = 2, exception = (reason = "no such thing",
    type = unimplemented, trace = "somewhere")))"""

# Far pointers and double far pointers: with tiny segments nearly every object has its own.
SEGMENT_SIZES = (1024, 16, 4, 1)


class CapnpOracle(Case):
    def setUp(self):
        need("capnp")
        if not os.path.exists(RPC):
            if "capnp" in os.environ.get("ADIT_TEST_REQUIRE", "").split(","):
                raise AssertionError(f"{RPC} is missing: install libcapnp-dev")
            raise unittest.SkipTest(f"needs {RPC}")
        super().setUp()

    def run_program(self, *argv, data=b""):
        done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def written(self):
        self.run_program(DUMP, "write", self.tmp)
        found = {}
        for name in sorted(os.listdir(self.tmp)):
            with open(self.path(name), "rb") as f:
                found[name] = f.read()
        return found

    def outer(self, messages):
        text = self.run_program("capnp", "decode", "--short", RPC, "Message",
                                data=b"".join(messages))
        return text.decode().splitlines()

    def typed(self, message, kind):
        """The content of the payload, as the tool reads it."""
        text = self.run_program("capnp", "convert", "binary:json", TYPED, kind, data=message)
        message = json.loads(text)
        return message["call"]["params"]["content"] if "call" in message \
            else message["ret"]["results"]["content"]

    def encode(self, schema, kind, text, segment_words):
        return self.run_program("capnp", "convert", f"--segment-size={segment_words}",
                                "text:binary", schema, kind, data=text.encode())

    def test_tool_reads_our_messages(self):
        found = self.written()
        self.assertEqual(self.outer(v for k, v in found.items() if k.startswith("agent")), AGENT)
        self.assertEqual(self.outer(v for k, v in found.items() if k.startswith("edge")), EDGE)

    def test_tool_reads_our_calls(self):
        found = self.written()
        self.assertEqual(self.typed(found["agent-01"], "RegisterCall"), {
            "auth": {"accountTag": "account", "tunnelSecret": [0xde, 0xad, 0xbe, 0xef]},
            "tunnelId": 16 * [0x11],
            "connIndex": 3,
            "options": {
                "client": {"clientId": 16 * [0x22], "features": ["allow_remote_config", "adit/1"],
                           "version": "0.1.0", "arch": "linux_amd64"},
                "originLocalIp": 10 * [0] + [255, 255, 127, 0, 0, 1],
                "replaceExisting": False, "compressionQuality": 1, "numPreviousAttempts": 5,
            },
        })
        self.assertEqual(self.typed(found["agent-04"], "LocalConfigCall"),
                         {"config": list(b'{"ingress":[]}')})
        self.assertEqual(self.typed(found["agent-08"], "UnregisterCall"), {})

    def test_tool_reads_our_routes(self):
        params = self.typed(self.written()["agent-06"], "AdvertiseCall")
        entries = [b"voffice\x002nd floor\0",
                   "r10.116.0.0/24\0office\0größe\0".encode(),
                   b"rfd00:1::/64\0\0\0"]
        digests = sorted(hashlib.sha256(e).digest() for e in entries)
        self.assertEqual(bytes(params.pop("hash")), hashlib.sha256(b"".join(digests)).digest())
        self.assertEqual(params, {
            "instanceId": 16 * [0x33], "generation": str(1 << 40),
            "hashOnly": False, "last": True,
            "virtualNetworks": [{"name": "office", "comment": "2nd floor"}],
            "routes": [
                {"network": "10.116.0.0/24", "virtualNetwork": "office", "comment": "größe"},
                {"network": "fd00:1::/64"},
            ],
        })

    def test_tool_reads_our_results(self):
        found = self.written()
        self.assertEqual(self.typed(found["edge-01"], "RegisterReturn"), {"result": {"result": {
            "connectionDetails": {"uuid": [0x11 * i for i in range(16)], "locationName": "XYZ01",
                                  "tunnelIsRemotelyManaged": True}}}})
        self.assertEqual(self.typed(found["edge-06"], "RegisterReturn"), {"result": {"result": {
            "error": {"cause": "please retry", "retryAfter": "3000000000",
                      "shouldRetry": True}}}})
        self.assertEqual(self.typed(found["edge-03"], "AdvertiseReturn"), {
            "sendAll": False,
            "verdicts": [{"accepted": True}, {"accepted": False, "reason": "not granted"},
                         {"accepted": True}]})

    def test_we_read_the_tools_calls(self):
        for words in SEGMENT_SIZES:
            with self.subTest(segment_words=words):
                data = self.encode(RPC, "Message", "(bootstrap = (questionId = 0))", words)
                for kind, text in (("RegisterCall", REGISTER_TEXT),
                                   ("LocalConfigCall", CONFIG_TEXT),
                                   ("AdvertiseCall", ADVERTISE_TEXT),
                                   ("UnregisterCall", UNREGISTER_TEXT)):
                    data += self.encode(TYPED, kind, text, words)
                data += self.encode(RPC, "Message", '(abort = (reason = "bye"))', words)
                self.assertEqual(self.run_program(DUMP, "read-agent", data=data).decode(), "\n".join([
                    REGISTER_LINE, 'config {"a":1}', ADVERTISE_LINE, "unregister",
                    "end abort bye", ""]))

    def test_we_read_the_tools_results(self):
        bootstrap = self.written()["edge-00"]
        for words in SEGMENT_SIZES:
            with self.subTest(segment_words=words):
                details = self.encode(TYPED, "RegisterReturn", DETAILS_TEXT, words)
                error = self.encode(TYPED, "RegisterReturn", ERROR_TEXT, words)
                verdicts = self.encode(TYPED, "AdvertiseReturn", VERDICTS_TEXT, words)
                exception = self.encode(RPC, "Message", EXCEPTION_TEXT, words)
                self.check_edge(bootstrap + details + verdicts, [
                    "registered location=tool01 remote=0 id=" + 16 * "66",
                    "advertised generation=9 send_all=0 failed= verdict=1/ verdict=0/no "
                    "verdict=1/"])
                self.check_edge(bootstrap + error + exception, [
                    "refused cause=EDUPCONN retry_after=-5 should_retry=1",
                    "advertised generation=9 send_all=0 failed=no such thing"])

    def check_edge(self, data, lines):
        out = self.run_program(DUMP, "read-edge", data=data).decode()
        self.assertEqual(out.splitlines(), lines)


if __name__ == "__main__":
    main()
