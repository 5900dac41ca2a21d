#!/usr/bin/env bash
# `coca` and its tests on emulated Arm cores: a Pi 3 or Zero 2 W, a Pi 4, a Pi 5, and a newer core with i8mm.
# Each takes the kernels it should, traps nowhere, and agrees with this machine.
source "$(dirname "$0")/environment.sh"

# Linear layers and attention are the same bit for bit. Convolutions run on tract, whose sums differ in the last place,
# and an activation that rounds to the next of 255 steps moves a score by a few thousandths.
score=0.01 cosine=0.9995
labels="cat,dog,cup of coffee,rocket,bicycle"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ask PROGRAM…: everything that `coca` can say about the photos.
ask() {
    "$@" classify "$photos" --labels "$labels" --format jsonl
    "$@" caption "$photos" --format jsonl
    "$@" embed "$photos"
    "$@" embed --text "a photo of a cat" --text "a cup of coffee"
}

ask "$native_coca" --quiet >"$work/expected"
for core in cortex-a53:neon cortex-a72:neon cortex-a76:dotprod max:i8mm; do
    export QEMU_CPU=${core%:*}
    printf '\n== %s\n' "$QEMU_CPU"
    run=(timeout 300 qemu-aarch64-static "$board_coca" --quiet)
    kernel=$("${run[@]}" info --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["kernel"])')
    [ "$kernel" = "${core#*:}" ] || die "$QEMU_CPU took the kernels $kernel; it should take ${core#*:}"
    echo "kernels: $kernel"
    ask "${run[@]}" >"$work/found"
    python3 "$bed/agree.py" "$work/expected" "$work/found" --score $score --cosine $cosine
done
