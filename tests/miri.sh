#!/usr/bin/env bash
# Runs coca-kernels' tests under Miri: the pool, parts of one output, weight memory and the scalar kernels, without undefined
# behaviour or data races under Stacked Borrows. SIMD is left out, which Miri does not interpret.
#   tests/miri.sh [FILTER…]     FILTER: names of tests, all by default
# Needs a nightly toolchain: rustup toolchain install nightly --component miri,rust-src
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain=${TOOLCHAIN:-nightly}
if ! cargo "+$toolchain" miri --version >/dev/null 2>&1; then
    echo "tests/miri.sh: the toolchain $toolchain has no Miri:" \
        "rustup toolchain install $toolchain --component miri,rust-src" >&2
    exit 1
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/miri
# Tests share a pool, whose threads outlive the last of them.
export MIRIFLAGS="${MIRIFLAGS:-} -Zmiri-ignore-leaks"
cargo "+$toolchain" miri test --locked --package coca-kernels --lib -- "$@"
