#!/usr/bin/env bash
# The kernels' tests on emulated Arm cores: a Pi 3 or Zero 2 W, a Pi 4, a Pi 5, and a newer core with i8mm.
# Debian 12 on x86-64, packages only; as root, or with sudo, where packages are missing.
#   tests/board/kernels.sh             CARGO_TARGET_DIR caches the build
set -euo pipefail
cd "$(dirname "$0")/kernels"

# Seconds that the tests may take on one core.
LIMIT=${LIMIT:-120}

packages=(rustc-web cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" dpkg --add-architecture arm64
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

target=aarch64-unknown-linux-gnu
# Debian's own compiler: its libraries for Arm serve no other.
export RUSTC=/usr/bin/rustc
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/coca-board/kernels}
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="timeout $LIMIT qemu-aarch64-static -L /usr/aarch64-linux-gnu"

/usr/bin/cargo build --locked --target $target
# What this machine computes, the boards must compute too.
answer=$(/usr/bin/cargo run --quiet --locked)
printf '\n== this machine\n%s\n' "$answer"
read -r _ checksum <<<"$answer"
for board in cortex-a53:neon cortex-a72:neon cortex-a76:dotprod max:i8mm; do
    export QEMU_CPU=${board%:*}
    printf '\n== %s\n' "$QEMU_CPU"
    answer=$(/usr/bin/cargo run --quiet --locked --target $target)
    printf '%s\n' "$answer"
    read -r kernel found <<<"$answer"
    if [ "$kernel" != "${board#*:}" ]; then
        echo "$QEMU_CPU took the kernels $kernel; it should take ${board#*:}" >&2
        exit 1
    fi
    if [ "$found" != "$checksum" ]; then
        echo "$QEMU_CPU computed $found, this machine $checksum" >&2
        exit 1
    fi
done
