"""Checks every DSSE envelope of a bundle with securesystemslib, which nobody here wrote.

dsse.py BUNDLE: each record under data/proof is verified by the key whose certificate or grant the
bundle carries; a flipped byte of its payload must be refused. Prints how many were checked.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def key_of(raw: bytes) -> SSlibKey:
    if len(raw) == 32:
        public = Ed25519PublicKey.from_public_bytes(raw)
    else:
        public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw)
    return SSlibKey.from_crypto(public, keyid=hashlib.sha256(raw).hexdigest()[:16])


def envelopes(path: pathlib.Path):
    for line in path.read_text().splitlines():
        yield json.loads(line)


def check(document: dict, keys: dict) -> dict:
    envelope = Envelope.from_dict(json.loads(json.dumps(document)))
    key = keys[document["signatures"][0]["keyid"]]
    envelope.verify([key], 1)
    payload = bytearray(base64.b64decode(document["payload"]))
    payload[len(payload) // 2] ^= 1
    altered = dict(document, payload=base64.b64encode(bytes(payload)).decode())
    try:
        Envelope.from_dict(altered).verify([key], 1)
    except VerificationError:
        return json.loads(base64.b64decode(document["payload"]))
    sys.exit("an altered payload passes")


def main(bundle: pathlib.Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    proof = bundle / "data/proof"
    pem = load_pem_public_key((proof / "authority.pem").read_bytes())
    authority = key_of(pem.public_bytes(Encoding.Raw, PublicFormat.Raw))
    checked = 0
    check(json.loads((bundle / "bundle.dsse.json").read_text()), {authority.keyid: authority})
    for site in sorted(p for p in proof.iterdir() if p.is_dir() and p.name != "controller"):
        keys = {authority.keyid: authority}
        for document in envelopes(site / "key.dsse.jsonl"):
            grant = check(document, keys)
            identity = key_of(bytes.fromhex(grant["public_key"]))
            keys[identity.keyid] = identity
            checked += 1
        for path in sorted((site / "keys").glob("*.dsse.json")):
            cert = check(json.loads(path.read_text()), keys)
            certified = key_of(bytes.fromhex(cert["public_key"]))
            keys[certified.keyid] = certified
            checked += 1
        for path in sorted(site.glob("*/records.dsse.jsonl")):
            for document in envelopes(path):
                check(document, keys)
                checked += 1
    print(f"envelopes={checked}")


main(pathlib.Path(sys.argv[1]))
