#!/usr/bin/env bash
# The kernels' tests on emulated Arm cores: a Pi 3 or Zero 2 W, a Pi 4, a Pi 5, and a newer core with i8mm.
# Debian 12 on x86-64, packages only; as root, or with sudo, where packages are missing.
#   tests/board/kernels.sh             CARGO_TARGET_DIR caches the build, PROPTEST_CASES sets the number of cases
set -euo pipefail
cd "$(dirname "$0")/kernels"

# Seconds that the tests may take on one core.
LIMIT=${LIMIT:-900}

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
export PROPTEST_CASES=${PROPTEST_CASES:-24}

/usr/bin/cargo build --locked --target $target
/usr/bin/cargo test --locked --target $target --no-run

for board in cortex-a53:neon cortex-a72:neon cortex-a76:dotprod max:i8mm; do
    export QEMU_CPU=${board%:*}
    kernel=$(/usr/bin/cargo run --quiet --locked --target $target)
    printf '\n== %s: %s\n' "$QEMU_CPU" "$kernel"
    if [ "$kernel" != "${board#*:}" ]; then
        echo "$QEMU_CPU took the kernels $kernel; it should take ${board#*:}" >&2
        exit 1
    fi
    /usr/bin/cargo test --quiet --locked --target $target
done
