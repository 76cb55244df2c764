#!/usr/bin/env bash
# Opens an encrypted bundle with the age of others, and checks that what comes out is a valid bag and,
# where a folder is given, the same bundle byte for byte:
#   age.sh BUNDLE.zip.age IDENTITY [FOLDER]
# Needs age and unzip (Debian), and bagit beside $PYTHON (default python3). Ends with 1 if not.
set -euo pipefail
sealed=$1 identity=$2 folder=${3:-}
here=$(dirname "${BASH_SOURCE[0]}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

age --decrypt --identity "$identity" --output "$work/bundle.zip" "$sealed"
unzip -q "$work/bundle.zip" -d "$work/open"
mapfile -t bags < <(ls "$work/open")
if [ "${#bags[@]}" != 1 ]; then
    echo "age: the archive holds ${#bags[@]} folders, not one" >&2
    exit 1
fi
"${PYTHON:-python3}" "$here/bagit.py" "$work/open/${bags[0]}"
if [ -n "$folder" ]; then
    diff --recursive --brief "$folder" "$work/open/${bags[0]}" >&2
fi
# Whoever is no recipient opens nothing.
age-keygen --output "$work/stranger" 2>/dev/null
if age --decrypt --identity "$work/stranger" --output /dev/null "$sealed" 2>/dev/null; then
    echo "age: a stranger opened the bundle" >&2
    exit 1
fi
echo "age: ${bags[0]} opened and is the same bag"
