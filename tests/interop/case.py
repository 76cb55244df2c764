#!/usr/bin/env python3
"""Does a bundle's custody graph conform to CASE/UCO?  case.py BUNDLE

Needs case-utils (PyPI): `case_validate` beside this interpreter. Ends with 1 if it does not.
"""

import json
import pathlib
import subprocess
import sys


def main() -> int:
    bundle = pathlib.Path(sys.argv[1])
    graph = bundle / "data/custody/custody.case.jsonld"
    validate = pathlib.Path(sys.executable).parent / "case_validate"
    checked = subprocess.run(
        [validate, "--format", "human", graph], capture_output=True, text=True, check=False
    )
    if checked.returncode != 0 or "Conforms: True" not in checked.stdout:
        print(f"case_validate: {checked.stdout}{checked.stderr}", file=sys.stderr)
        return 1
    nodes = json.loads(graph.read_text())["@graph"]
    acts = sum(node["@type"] == "case-investigation:InvestigativeAction" for node in nodes)
    lines = (bundle / "data/custody/audit.jsonl").read_text().splitlines()
    if acts != len(lines):
        print(f"case: {acts} acts in the graph, {len(lines)} lines in the audit extract", file=sys.stderr)
        return 1
    print(f"case: {len(nodes)} nodes, {acts} acts, conforms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
