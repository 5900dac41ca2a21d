# What the scripts of the test bed share; they source it.
set -euo pipefail

bed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$bed/../.." && pwd)
# Packages, the kernel, and everything that is cross-built: outside the clone, for the next run.
cache=${COCA_BOARD_CACHE:-$HOME/.cache/coca-board}
target=aarch64-unknown-linux-gnu
# What runs on the board, and the same program for this machine.
board_coca=$cache/target/$target/release/coca
native_coca=${NATIVE_COCA:-${CARGO_TARGET_DIR:-$repository/target}/debug/coca}
photos=$repository/tests/photos

die() {
    echo "tests/board: $*" >&2
    exit 1
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Has cargo build the kernels for the board with Debian's own compiler: its libraries for Arm serve no other.
cross_compile() {
    export RUSTC=/usr/bin/rustc CARGO_INCREMENTAL=0
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    # Without -L: where the cross compiler's C library meets Debian's arm64 one, programs hang that start a thread.
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
    export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu=-I/usr/aarch64-linux-gnu/include
}
