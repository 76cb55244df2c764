#!/usr/bin/env python3
"""Is a bundle a BagIt bag that keeps the published profile?  bagit.py BUNDLE

Needs bagit and bagit-profile (PyPI). Says what is wrong and ends with 1 if anything is.
"""

import json
import logging
import pathlib
import sys

# The name of this file is the library's own: look for the library elsewhere.
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).parent]
import bagit  # noqa: E402
import bagit_profile  # noqa: E402

PROFILE = pathlib.Path(__file__).parents[2] / "deploy" / "bagit-profile.json"


def main() -> int:
    folder = sys.argv[1]
    logging.getLogger("bagit").setLevel(logging.ERROR)
    bag = bagit.Bag(folder)
    try:
        bag.validate()
    except bagit.BagError as error:
        print(f"bagit: {error}", file=sys.stderr)
        return 1
    if sorted(bag.algorithms) != ["sha256", "sha512"]:
        print(f"bagit: manifests of {bag.algorithms}", file=sys.stderr)
        return 1
    identifier = json.loads(PROFILE.read_text())["BagIt-Profile-Info"]["BagIt-Profile-Identifier"]
    profile = bagit_profile.Profile(identifier, profile=json.loads(PROFILE.read_text()))
    if not profile.validate(bag):
        print(f"bagit-profile: {profile.report}", file=sys.stderr)
        return 1
    print(f"bagit: {len(bag.payload_entries())} payload files, valid, profile kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
