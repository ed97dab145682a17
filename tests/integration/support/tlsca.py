# SPDX-License-Identifier: Apache-2.0
"""A throw-away CA and server certificates (by the openssl tool) for scripted peers."""

import os
import ssl
import subprocess


def _openssl(*argv):
    done = subprocess.run(("openssl",) + argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {argv[0]}: {done.stdout.decode(errors='replace')}")


class Authority:
    """A CA in @folder; `ca_file` is what a peer trusts."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.ca_file = os.path.join(folder, "ca.pem")
        self._key = os.path.join(folder, "ca.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-keyout", self._key, "-out", self.ca_file, "-days", "2",
                 "-subj", "/CN=adit test CA", "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name, dns=("h2.cftunnel.com", "probe.cftunnel.com", "localhost"),
              ips=("127.0.0.1",), valid=None):
        """Makes a server certificate; returns (certificate file, key file). @valid: a pair of
        YYYYMMDDHHMMSSZ, when not from now on."""
        base = os.path.join(self.folder, name)
        cert, key, request, ext = (f"{base}.{s}" for s in ("pem", "key", "csr", "ext"))
        names = ",".join([f"DNS:{d}" for d in dns] + [f"IP:{i}" for i in ips])
        with open(ext, "w", encoding="ascii") as f:
            f.write(f"subjectAltName={names}\n")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        if valid:
            self._sign_for(valid, request, ext, cert)
            return cert, key
        _openssl("x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey", self._key,
                 "-CAcreateserial", "-days", "2", "-extfile", ext, "-out", cert)
        return cert, key

    def _sign_for(self, valid, request, ext, cert):
        """`openssl x509` knows no dates."""
        config = cert + ".cnf"
        open(cert + ".index", "w", encoding="ascii").close()
        with open(config, "w", encoding="ascii") as f:
            f.write(f"[ca]\ndefault_ca = own\n[own]\ndatabase = {cert}.index\n"
                    f"new_certs_dir = {self.folder}\nrand_serial = yes\n"
                    "default_md = sha256\npolicy = any\n"
                    "[any]\ncommonName = supplied\n")
        _openssl("ca", "-batch", "-config", config, "-notext", "-in", request,
                 "-cert", self.ca_file, "-keyfile", self._key, "-extfile", ext, "-out", cert,
                 "-startdate", valid[0], "-enddate", valid[1])


def server_context(cert, key):
    """As an edge: TLS 1.2 or later, no ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


def client_context(ca_file, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca_file)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context
