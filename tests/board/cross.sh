#!/usr/bin/env bash
# Builds `coca` with cameras for the board; with --tests, runs the tests named after it in emulation too.
#   cross.sh
#   cross.sh --tests CPU SECONDS ARGUMENTS-OF-CARGO-TEST…
source "$(dirname "$0")/environment.sh"
cd "$repository"

export CARGO_TARGET_DIR=$cache/target
cross_compile
# Emulated cores are slow: a minute more of compiling saves several of running.
options=(--locked --target "$target" --features camera --config 'profile.dev.package.coca-edge.opt-level=2')
if [ "${1:-}" = --tests ]; then
    export QEMU_CPU=$2
    limit=$3
    shift 3
    /usr/bin/cargo test "${options[@]}" --no-run "$@"
    timeout "$limit" /usr/bin/cargo test --quiet "${options[@]}" "$@"
else
    /usr/bin/cargo build "${options[@]}" --bin coca
    aarch64-linux-gnu-strip -o "$board_coca" "$CARGO_TARGET_DIR/$target/debug/coca"
fi
