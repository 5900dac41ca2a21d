#!/usr/bin/env bash
# Runs coca-kernels' tests, built in a minute, on emulated Arm cores: a Pi 3 or Zero 2 W, a Pi 4, a Pi 5, and a newer core with i8mm.
# They hold every instruction set of the core to the scalar code, and the core to the bits that x86-64 computes.
# Debian 12 on x86-64, packages only; as root, or with sudo, where packages are missing.
#   tests/board/kernels.sh [CPU…]
source "$(dirname "$0")/environment.sh"
"$bed/setup.sh" --packages
cd "$repository"
use_toolchain

export CARGO_TARGET_DIR=$cache/kernels
# Here and not where the program is built: cargo-zigbuild leaves a linker that is named already in place of its own.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# Without -L: where the cross compiler's C library meets Debian's arm64 one, programs hang that start a thread.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static
cargo=${CARGO:-cargo}
"$cargo" test --locked --package coca-kernels --target "$target" --lib --no-run
[ $# -gt 0 ] || set -- cortex-a53 cortex-a72 cortex-a76 max

test_on() {
    QEMU_CPU=$1 timeout 300 "$cargo" test --quiet --locked --package coca-kernels --target "$target" --lib
}
side_by_side test_on "$@"
