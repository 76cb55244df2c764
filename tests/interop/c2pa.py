#!/usr/bin/env python3
"""Are a bundle's playable copies signed as C2PA wants?  c2pa.py BUNDLE CA.pem

Each copy must be trusted with the controller's CA as anchor, name the exhibit, say that nothing was
encoded anew, and be refused as soon as one bit of its pictures is another. Needs c2pa-python (PyPI).
Ends with 1 and the reason if not.
"""

import io
import json
import pathlib
import sys

sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).parent]
import c2pa  # noqa: E402


def read(stream: io.BytesIO, anchors: str) -> dict:
    context = c2pa.Context(
        c2pa.Settings.from_dict(
            {"trust": {"trust_anchors": anchors}, "verify": {"verify_trust": True}}
        )
    )
    with c2pa.Reader("video/mp4", stream, context=context) as reader:
        return json.loads(reader.json())


def failures(report: dict) -> set[str]:
    found = report.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    return {failure["code"] for failure in found}


def check(view: pathlib.Path, exhibit: str, anchors: str) -> None:
    good = view.read_bytes()
    report = read(io.BytesIO(good), anchors)
    state = report.get("validation_state")
    assert state == "Trusted", f"{state}: {failures(report) or report.get('validation_status')}"
    manifest = report["manifests"][report["active_manifest"]]
    parents = [i for i in manifest["ingredients"] if i["relationship"] == "parentOf"]
    assert len(parents) == 1 and exhibit in parents[0]["title"], "the parent is not the exhibit"
    assertions = {a["label"]: a["data"] for a in manifest["assertions"]}
    actions = [a["action"] for a in assertions["c2pa.actions.v2"]["actions"]]
    assert actions[:2] == ["c2pa.opened", "c2pa.repackaged"], f"actions {actions}"
    assert "c2pa.transcoded" not in actions, "nothing was transcoded"
    assert assertions["example.watchhouse.exhibit"]["exhibit"] == exhibit, "another exhibit"

    bad = bytearray(good)
    bad[bad.index(b"mdat") + 1000] ^= 1
    found = failures(read(io.BytesIO(bytes(bad)), anchors))
    assert "assertion.bmffHash.mismatch" in found, f"a flipped bit gives {found}"


def main() -> int:
    bundle = pathlib.Path(sys.argv[1])
    anchors = pathlib.Path(sys.argv[2]).read_text()
    info = (bundle / "bag-info.txt").read_text().splitlines()
    exhibit = next(line.split(": ")[1] for line in info if line.startswith("Exhibit-Reference"))
    views = sorted(bundle.glob("data/view/*/*.mp4"))
    if not views:
        print("c2pa: the bundle has no playable copy", file=sys.stderr)
        return 1
    for view in views:
        try:
            check(view, exhibit, anchors)
        except (AssertionError, c2pa.C2paError) as error:
            print(f"c2pa: {view}: {error}", file=sys.stderr)
            return 1
    print(f"c2pa: {len(views)} copies trusted, {exhibit}, a flipped bit refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())
