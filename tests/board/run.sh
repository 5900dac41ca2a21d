#!/usr/bin/env bash
# The whole test bed, on a Debian 12 x86-64 machine without a board: the library's tests and the program that the package for
# boards holds, on emulated Arm cores; and that program on an emulated board with a camera. Needs root or sudo where packages
# are missing; keeps what it builds in ~/.cache/coca-board, or in $COCA_BOARD_CACHE.
#   tests/board/run.sh
source "$(dirname "$0")/environment.sh"
cd "$repository"

# step SECONDS COMMAND…: runs it within a time limit, and tells how long it took.
step() {
    local limit=$1 start=$SECONDS
    shift
    printf '\n==== %s\n' "$(basename "$1") ${*:2}"
    timeout "$limit" "$@" || die "$*: failed, or took longer than $limit s"
    printf '==== %s: %d s\n' "$(basename "$1") ${*:2}" $((SECONDS - start))
}

step 900 "$bed/setup.sh"
# With quantize, as README's tests build it: without, its dependencies would be compiled once more.
[ -n "${NATIVE_COCA:-}" ] || step 3600 cargo build --workspace --locked --bin coca
step 3600 "$bed/cross.sh"
step 900 "$bed/emulated.sh"
step 1800 "$bed/camera.sh" cortex-a72 cortex-a76
