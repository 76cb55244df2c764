#!/usr/bin/env bash
# Sees that what deploy/ and ansible/ hold would install a working force: the roles are run for real,
# into a directory; units and examples are judged by systemd's and Python's own readers.
#
#   deploy/check.sh
#   EDGE_AGENT_BIN=target/debug/edge-agent CONTROLLER_BIN=target/debug/controller deploy/check.sh
#
# With a program's path it is installed by its role and asked what it thinks of its settings
# (`c2pa-sign`, `watchhouse` and `verify` are expected beside it); without, that is skipped and said.
# Needs Debian and PyPI; installs Ansible into ~/.cache/watchhouse/ansible-venv once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

core_version=2.19.14
lint_version=26.10.1
# What is left: IP sockets to anywhere, UNIX sockets, reading the clock's error, the host's root.
exposure_max=16

project=$PWD
venv="$HOME/.cache/watchhouse/ansible-venv"
work=$(mktemp -d "${TMPDIR:-/tmp}/watchhouse-deploy.XXXXXX")
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

fail() {
    printf 'deploy/check.sh: %s\n' "$1" >&2
    exit 1
}

# Runs a command; its output is shown only when it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$name"
        sed 's/^/        /' "$work/said"
    fi
}

skip() {
    skipped=$((skipped + 1))
    printf 'skipped %s\n' "$1"
}

python_for_ansible() {
    local python
    for python in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
    fail "no Python 3.11 or later with venv; on Debian 12: apt-get install python3-venv"
}

has_ansible() {
    [ "$("$venv/bin/python" -c 'from importlib.metadata import version as v
print(v("ansible-core"), v("ansible-lint"))' 2>/dev/null)" = "$core_version $lint_version" ]
}

install_ansible() {
    mkdir -p "$(dirname "$venv")"
    # Two checks at once must not both write the environment.
    exec 9>"$venv.lock"
    flock 9
    if ! has_ansible; then
        rm -rf "$venv"
        local python
        python=$(python_for_ansible)
        "$python" -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check \
            "ansible-core==$core_version" "ansible-lint==$lint_version"
    fi
    flock -u 9
}

# Runs site.yml for the named hosts into $work/<host>.
play() {
    local hosts=$1
    shift
    (cd ansible && ansible-playbook --diff -v --limit "$hosts" --extra-vars "@$work/vars.json" "$@" site.yml)
}

play_edge() {
    play edge --extra-vars "{\"watchhouse_install_binaries\": $edge_real,
        \"watchhouse_validate_config\": $edge_real,
        \"watchhouse_binary_dir\": \"$(dirname "$edge_bin")\"}" "$@"
}

play_controller() {
    play controller --extra-vars "{\"watchhouse_install_binaries\": $controller_real,
        \"watchhouse_validate_config\": $controller_real, \"controller_initialise\": $controller_real,
        \"watchhouse_binary_dir\": \"$(dirname "$controller_bin")\"}" "$@"
}

# $1: who is played, $2: 1 or 2. The second time nothing may change.
run_role() {
    local log="$work/$1-$2.log"
    "play_$1" >"$log" 2>&1 || { cat "$log"; return 1; }
    grep -q 'ok=[1-9].*failed=0' "$log" || { cat "$log"; return 1; }
    [ "$2" = 1 ] || ! grep -E 'changed=[1-9]|^changed:' "$log"
}

# A mistake in the estate stops the run before anything is written. $1: what must be said.
refuses() {
    local say=$1 root="$work/refused"
    shift
    if play east --extra-vars "{\"watchhouse_root\": \"$root\"}" "$@" >"$work/refused.log" 2>&1; then
        echo "was accepted"
        return 1
    fi
    grep -qF -- "$say" "$work/refused.log" || { cat "$work/refused.log"; return 1; }
    [ ! -e "$root" ]
}

# Credentials and tokens begin with the same mark here; Ansible must have printed none of them.
no_secret_shown() {
    [ "$(cat "$work"/*-[12].log | wc -l)" -gt 100 ] && ! grep -n "$secret" "$work"/*-[12].log
}

units_hold_together() {
    local root=$1 unit=$2 program=$3 said
    # systemd reads the whole tree: its own units, and a program to start.
    mkdir -p "$root/usr/lib/systemd"
    cp -a /usr/lib/systemd/system "$root/usr/lib/systemd/"
    [ -e "$root/usr/local/bin/$program" ] || cp /bin/true "$root/usr/local/bin/$program"
    said=$(systemd-analyze verify --man=no --root="$root" "$unit" 2>&1) || { echo "$said"; return 1; }
    # Of Debian's own units it has things to say as well.
    ! grep -F watchhouse <<<"$said"
}

exposure_is_low() {
    systemd-analyze security --offline=true --no-pager --threshold="$exposure_max" "$1"
}

command -v systemd-analyze >/dev/null || fail "systemd-analyze was not found: apt-get install systemd"
install_ansible
export PATH="$venv/bin:$PATH" ANSIBLE_NOCOLOR=1 NO_COLOR=1 ANSIBLE_LOCAL_TEMP="$work/ansible" \
    ANSIBLE_HOME="$work/ansible-home" ANSIBLE_RETRY_FILES_ENABLED=false

edge_bin=$(realpath -m "${EDGE_AGENT_BIN:-none/edge-agent}")
controller_bin=$(realpath -m "${CONTROLLER_BIN:-none/controller}")
edge_real=false controller_real=false
if [ -n "${EDGE_AGENT_BIN:-}" ]; then
    [ "$(basename "$edge_bin")" = edge-agent ] && [ -x "$edge_bin" ] || fail "EDGE_AGENT_BIN=$edge_bin is not an edge-agent"
    edge_real=true
fi
if [ -n "${CONTROLLER_BIN:-}" ]; then
    [ "$(basename "$controller_bin")" = controller ] && [ -x "$controller_bin" ] || fail "CONTROLLER_BIN=$controller_bin is not a controller"
    controller_real=true
fi

secret=$("$venv/bin/python" -c 'import secrets; print(secrets.token_hex(16))')
"$venv/bin/python" deploy/installed.py prepare "$work" "$secret"

check "ansible: the playbook's syntax" play all --syntax-check
check "ansible-lint: production profile" \
    env -C ansible ansible-lint --offline --strict --profile production .
check "estate: an external camera without a mask is refused" refuses 'its mask must be `required`' \
    --extra-vars "edge_estate_csv=$work/unmasked.csv"
check "estate: a password in an address is refused" refuses 'without user and password' \
    --extra-vars "edge_estate_csv=$work/password.csv"
check "estate: a camera without credentials is refused" \
    refuses 'missing for ext-02, ext-03' --extra-vars '{"edge_credentials_required": true}'
check "estate: credentials of a camera that is not there are refused" \
    refuses 'no such camera: ext-99' --extra-vars '{"edge_camera_credentials": {"ext-99": "a:b"}}'
mkdir -p "$work/east/etc/watchhouse/cameras"
echo "viewer:$secret" >"$work/east/etc/watchhouse/cameras/ext-45"
# West has enrolled before: its token is spent.
mkdir -p "$work/west/etc/watchhouse" "$work/west/var/lib/watchhouse/keys"
touch "$work/west/var/lib/watchhouse/keys/link.crt" "$work/west/etc/watchhouse/enrol.token"
check "roles: four recorders are installed" run_role edge 1
check "roles: a second run changes nothing on a recorder" run_role edge 2
check "roles: the controller is installed" run_role controller 1
check "roles: a second run changes nothing on the controller" run_role controller 2
check "roles: neither credentials nor tokens are printed" no_secret_shown
check "roles: 268 cameras, files and modes as they should be" \
    "$venv/bin/python" deploy/installed.py check "$work" "$secret"
check "examples: same settings as the roles write" \
    "$venv/bin/python" deploy/installed.py examples "$work"
for site in east hq; do
    check "systemd: the recorder's unit in $site" \
        units_hold_together "$work/$site" watchhouse-edge-agent.service edge-agent
done
check "systemd: the controller's unit" \
    units_hold_together "$work/controller.example" watchhouse-controller.service controller
for unit in deploy/systemd/*.service; do
    check "systemd: exposure of $(basename "$unit") at most $exposure_max of 100" exposure_is_low "$project/$unit"
done
if "$edge_real"; then
    check "edge-agent check-config: says no to a mask left out" \
        "$venv/bin/python" deploy/installed.py unmasked "$work" "$edge_bin"
else
    skip "edge-agent check-config on the settings (EDGE_AGENT_BIN is not set)"
fi
"$controller_real" || skip "controller check-config and init (CONTROLLER_BIN is not set)"

printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
