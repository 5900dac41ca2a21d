#!/usr/bin/env bash
# Runs coca-kernels' tests under AddressSanitizer: no read and no write beyond a slice or after its end.
#   tests/sanitize.sh
# x86-64 Linux. RUSTC_BOOTSTRAP makes a stable compiler accept the flag; the one crate takes a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/sanitized
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" \
    cargo test --locked --release --lib --package coca-kernels --target x86_64-unknown-linux-gnu
