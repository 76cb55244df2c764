#!/usr/bin/env python3
"""An RFC 3161 time-stamping authority on loopback, for tests: `openssl ts -reply` behind HTTP.

    tsa.py FOLDER

Makes its own certificate authority and TSA certificate in FOLDER (`ca.pem`, `tsa.pem`), listens on
127.0.0.1 on a port of the system's choice and prints that port on its first line. A POST to `/` is
answered with a real token; a POST to `/refuse` with the status `rejection`; a POST to `/other` with a
token over other data, as a broken or hostile authority would give it; a POST to `/busy` with HTTP 503.
"""

import http.server
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(sys.argv[1])
BODY_BYTES_MAX = 65536

CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = test time-stamping
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def openssl(*arguments, data=None):
    """Runs openssl; what it says on standard error is shown only when it fails."""
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    return done.stdout


def prepare():
    """The authority, its key and certificate; an earlier run's stay."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = FOLDER / "openssl.cnf"
    config.write_text(CONFIG.format(folder=FOLDER))
    if (FOLDER / "tsa.pem").exists():
        return
    (FOLDER / "serial").write_text("01\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    common = ["-config", str(config)]
    openssl("req", "-x509", *common, *curve, "-extensions", "ca", "-days", "3650",
            "-subj", "/CN=test time-stamping CA",
            "-keyout", str(FOLDER / "ca.key"), "-out", str(FOLDER / "ca.pem"))
    openssl("req", "-new", *common, *curve, "-subj", "/CN=test TSA",
            "-keyout", str(FOLDER / "tsa.key"), "-out", str(FOLDER / "tsa.csr"))
    openssl("x509", "-req", "-in", str(FOLDER / "tsa.csr"), "-CA", str(FOLDER / "ca.pem"),
            "-CAkey", str(FOLDER / "ca.key"), "-CAcreateserial", "-days", "3650",
            "-extfile", str(config), "-extensions", "leaf", "-out", str(FOLDER / "tsa.pem"))


def token(query):
    """The DER of the response to a DER query."""
    path = FOLDER / "query.tsq"
    path.write_bytes(query)
    answer = FOLDER / "answer.tsr"
    openssl("ts", "-reply", "-config", str(FOLDER / "openssl.cnf"), "-section", "one",
            "-queryfile", str(path), "-out", str(answer))
    return answer.read_bytes()


# PKIStatusInfo { status rejection(2) }, no token.
REJECTION = bytes.fromhex("30053003020102")


class Authority(http.server.BaseHTTPRequestHandler):
    """Answers time-stamp queries."""

    def do_POST(self):  # noqa: N802 (the name that http.server calls)
        """One query."""
        length = int(self.headers.get("Content-Length", "0"))
        query = self.rfile.read(min(length, BODY_BYTES_MAX))
        if self.path == "/busy":
            self.send_error(503)
            return
        if self.path == "/refuse":
            answer = REJECTION
        elif self.path == "/other":
            other = openssl("ts", "-query", "-digest", "00" * 32, "-sha256", "-cert")
            answer = token(other)
        else:
            answer = token(query)
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Says nothing: the test reads standard output."""


def main():
    """Prepares, says the port, serves until it is ended."""
    prepare()
    server = http.server.HTTPServer(("127.0.0.1", 0), Authority)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
