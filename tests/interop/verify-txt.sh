#!/bin/sh
# Executes the commands of VERIFY.txt literally over a bundle, as its reader would: every line that begins
# with four spaces and `$ ` or `> `. Exit status 0 if the last command was reached and passed, else not.
#
#   verify-txt.sh BUNDLE KEY.pem [TSA-CA.pem]
#
# The recipe is the bundle's own VERIFY.txt; RECIPE=FILE takes another.
set -eu
bundle=$1
KEY=$(realpath "$2")
export KEY
if [ $# -gt 2 ]; then
    TSA_CA=$(realpath "$3")
    export TSA_CA
fi
recipe=$(realpath "${RECIPE:-$bundle/VERIFY.txt}")
TMPDIR=$(mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
sed -n 's/^    [$>] //p' "$recipe" > "$TMPDIR/commands"
cd "$bundle"
sh "$TMPDIR/commands"
