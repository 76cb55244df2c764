"""Checks a bundle's RFC 3161 tokens with rfc3161-client, which nobody here wrote.

rfc3161.py BUNDLE TSA-ROOT.pem: each token must be over the note beside it, and not over another.
"""

import pathlib
import sys

from cryptography import x509
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response


def main(bundle: pathlib.Path, root: pathlib.Path) -> None:
    certificate = x509.load_pem_x509_certificate(root.read_bytes())
    checked = 0
    for token in sorted(bundle.glob("data/proof/*/tsa/*.tsr")):
        response = decode_timestamp_response(token.read_bytes())
        builder = VerifierBuilder().add_root_certificate(certificate)
        verifier = builder.build()
        note = token.with_suffix(".note").read_bytes()
        if not verifier.verify_message(response, note):
            sys.exit(f"{token}: refused")
        try:
            passes = verifier.verify_message(response, note + b"\n")
        except VerificationError:
            passes = False
        if passes:
            sys.exit(f"{token}: passes over other bytes as well")
        checked += 1
    print(f"tokens={checked}")
    if not checked:
        sys.exit("the bundle has no token")


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
