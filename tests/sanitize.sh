#!/usr/bin/env bash
# The kernels' tests under AddressSanitizer: no read and no write beyond a slice or after its end.
#   tests/sanitize.sh
# x86-64 Linux. RUSTC_BOOTSTRAP lets a stable compiler build them so; the kernels alone take a minute.
set -euo pipefail
cd "$(dirname "$0")/board/kernels"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-../../../target}/sanitized
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" \
    cargo test --locked --release --lib --target x86_64-unknown-linux-gnu
