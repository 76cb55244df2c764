#!/usr/bin/env bash
# Prints the folder of a Python environment with the foreign verifiers, made once a set of versions
# in ~/.cache/watchhouse. Two runs at once wait for each other.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="$HOME/.cache/watchhouse"
versions=$(cat "$here"/requirements*.txt | sha256sum | cut -c1-16)
venv="$cache/interop-$versions"
mkdir -p "$cache"
exec 9>"$cache/interop.lock"
flock 9
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv" >&2
    pip=("$venv/bin/pip" install --quiet --disable-pip-version-check)
    "${pip[@]}" --requirement "$here/requirements.txt" >&2
    "${pip[@]}" --no-deps --ignore-requires-python --requirement "$here/requirements-nodeps.txt" >&2
    touch "$venv/complete"
fi
echo "$venv"
