#!/usr/bin/env bash
# Sees that this machine has what Watchhouse's build, tests and demo need. Silent when it has.
# Installs missing Debian packages (asking sudo when not root); never touches the Rust toolchain.
set -euo pipefail

packages=(
    # Compilers and headers: RocksDB (C++), aws-lc (cmake), FFmpeg bindings (clang).
    make g++ cmake clang libclang-dev pkg-config
    libavcodec-dev libavformat-dev libavfilter-dev libavutil-dev libswscale-dev libavdevice-dev
    # The rig's cameras: GStreamer's RTSP server driven from Python.
    python3 python3-gi gir1.2-gst-rtsp-server-1.0
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
    # What tests look through: a decoder, a browser for bundles, a place for ansible-core.
    ffmpeg chromium faketime python3-venv
    # Verifiers that nobody here wrote: Go's checksum database code, age, openssl; a soft token.
    golang-go golang-golang-x-mod-dev age openssl softhsm2 unzip xxd
)
# Runs the verifier page outside a browser; any version from 18 on will do.
command -v node >/dev/null 2>&1 || packages+=(nodejs)
rust_minor_min=95

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

check_rust() {
    command -v cargo >/dev/null 2>&1 ||
        fail "cargo was not found. Install Rust 1.$rust_minor_min or later (https://rustup.rs) and put ~/.cargo/bin on PATH."
    local version minor
    version=$(rustc --version | cut -d' ' -f2)
    minor=$(cut -d. -f2 <<<"$version")
    if [ "${version%%.*}" = 1 ] && [ "$minor" -lt "$rust_minor_min" ]; then
        fail "rustc $version is too old; 1.$rust_minor_min or later is needed: rustup update stable"
    fi
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$package"
    done
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "not root and no sudo; as root run: apt-get install $*"
        as_root=(sudo)
    fi
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
    # A second try: package indexes change under a long download, and mirrors fail for a moment.
    local try
    for try in 1 2; do
        if "${apt[@]}" update && "${apt[@]}" install --no-install-recommends --fix-broken "$@"; then
            return
        fi
        echo "setup: try $try of 2 to install packages failed" >&2
    done
    fail "apt-get could not install: $*"
}

export PATH="$PATH:$HOME/.cargo/bin"
check_rust
if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    fail "this is not a Debian machine; provide what these packages hold, then build with cargo: ${packages[*]}"
fi
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
    echo "setup: installing ${missing[*]}" >&2
    install_packages "${missing[@]}" >&2
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -eq 0 ] || fail "still missing after installing: ${missing[*]}"
fi
