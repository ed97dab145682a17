# SPDX-License-Identifier: Apache-2.0
"""`adit cidr`: sums with prefixes on the command line, their errors and exit codes."""

import ipaddress
import os
import subprocess

from support.case import Case, main

ADIT = os.path.join(os.environ["ADIT_BUILD_DIR"], "cmd", "adit")
USAGE = 64


def cidr(*argv):
    done = subprocess.run([ADIT, "cidr", *argv], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def subtract_by_python(base, holes):
    rest = [ipaddress.ip_network(base)]
    for hole in map(ipaddress.ip_network, holes):
        rest = [part for network in rest for part in (
            network.address_exclude(hole) if hole.version == network.version and
            hole.subnet_of(network) else
            [] if hole.version == network.version and network.subnet_of(hole) else [network])]
    return "".join(f"{p}\n" for p in sorted(ipaddress.collapse_addresses(rest)))


class Subtract(Case):
    def test_parts_that_are_left(self):
        self.assertEqual(cidr("subtract", "172.16.0.0/12", "172.31.0.0/16"), (
            0, "172.16.0.0/13\n172.24.0.0/14\n172.28.0.0/15\n172.30.0.0/16\n", ""))

    def test_edges(self):
        for argv, out in (
                (("10.0.0.0/8", "10.0.0.0/8"), ""),
                (("10.0.0.0/8", "0.0.0.0/0"), ""),
                (("10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9"), ""),
                (("10.0.0.0/8", "11.0.0.0/8"), "10.0.0.0/8\n"),
                (("10.0.0.0/8", "::/0"), "10.0.0.0/8\n"),
                (("fd00::/8", "10.0.0.0/8", "fd00::/9"), "fd80::/9\n"),
                (("10.0.0.7", "10.0.0.6"), "10.0.0.7/32\n")):
            with self.subTest(argv):
                self.assertEqual(cidr("subtract", *argv), (0, out, ""))

    def test_agrees_with_another_program(self):
        for base, *holes in (
                ("0.0.0.0/0", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"),
                ("::/0", "fc00::/7", "fe80::/10", "ff00::/8", "64:ff9b::/96"),
                ("10.0.0.0/16", "10.0.1.0/24", "10.0.1.128/25", "10.0.0.0/24", "10.0.255.255/32"),
                ("2001:db8::/32", "2001:db8:1::/48", "10.0.0.0/8", "2001:db8::/64")):
            with self.subTest(base):
                self.assertEqual(cidr("subtract", base, *holes),
                                 (0, subtract_by_python(base, holes), ""))

    def test_too_much(self):
        """1,000 single addresses, far apart, of an IPv6 prefix leave more than 65,536 prefixes."""
        holes = [f"fd00:{i:x}::1" for i in range(1000)]
        code, out, err = cidr("subtract", "fd00::/16", *holes)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("more than 65536 prefixes", err)


class Contains(Case):
    def test_exit_status(self):
        for outer, inner, code in (
                ("10.0.0.0/8", "10.116.0.3", 0), ("10.0.0.0/8", "10.0.0.0/8", 0),
                ("10.0.0.0/9", "10.0.0.0/8", 1), ("10.0.0.0/8", "11.0.0.1", 1),
                ("::/0", "10.0.0.1", 1), ("fd00::/8", "fdff::/16", 0),
                ("10.0.0.0/8", "::ffff:10.1.2.3", 0)):
            with self.subTest(outer=outer, inner=inner):
                self.assertEqual(cidr("contains", outer, inner), (code, "", ""))


class Usage(Case):
    def test_host_bits_name_the_right_prefix(self):
        for argv, word, meant in (
                (("subtract", "172.16.1.0/12", "10.0.0.0/8"), "172.16.1.0/12", "172.16.0.0/12"),
                (("subtract", "10.0.0.0/8", "10.1.2.3/16"), "10.1.2.3/16", "10.1.0.0/16"),
                (("contains", "fd00::1/64", "fd00::1"), "fd00::1/64", "fd00::/64"),
                (("contains", "10.0.0.0/8", "10.1.2.3/16"), "10.1.2.3/16", "10.1.0.0/16")):
            with self.subTest(argv):
                code, out, err = cidr(*argv)
                self.assertEqual((code, out), (USAGE, ""))
                self.assertIn(f"'{word}' has host bits set; {meant} is meant", err)

    def test_other_mistakes(self):
        for argv, text in (
                ((), "Usage: adit cidr COMMAND"),
                (("subtract",), "too few arguments"),
                (("subtract", "10.0.0.0/8"), "too few arguments"),
                (("subtract", "ten/8", "10.0.0.0/8"), "'ten/8' is no prefix"),
                (("subtract", "10.0.0.0/8", "10.0.0.0/33"), "'10.0.0.0/33' is no prefix"),
                (("subtract", "10.0.0.0/8", ""), "'' is no prefix"),
                (("contains", "10.0.0.0/8", "10.0.0.1", "10.0.0.2"), "one argument too many"),
                (("substract", "10.0.0.0/8"), "did you mean 'subtract'?")):
            with self.subTest(argv):
                code, out, err = cidr(*argv)
                self.assertEqual((code, out), (USAGE, ""))
                self.assertIn(text, err)

    def test_help(self):
        code, out, _ = cidr("subtract", "--help")
        self.assertEqual(code, 0)
        self.assertIn("adit cidr subtract BASE HOLE...", out)


main()
