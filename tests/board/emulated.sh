#!/usr/bin/env bash
# `coca` and its tests on emulated Arm cores: a Pi 3 or Zero 2 W, a Pi 4, a Pi 5, and a newer core with i8mm.
# Each takes the kernels it should, traps nowhere, and agrees with this machine.
source "$(dirname "$0")/environment.sh"

# The kernels give the same bits everywhere, and so do the resampling and what little runs on tract, but for a last place: from
# the same pixels the answers are the same. Of a JPEG the decoders' SIMD makes pixels that are a step or two apart, which moves
# the score of a doubtful label by a hundredth (measured on these photos: 0.0075, cosine 0.99874, since activations are 8-bit codes)
# and can turn the caption of a picture that the model does not know.
same=(--score 0.00001 --cosine 0.999999)
near=(--score 0.03 --cosine 0.998 --no-captions)
labels="cat,dog,cup of coffee,rocket,bicycle"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bitmaps"
for photo in "$photos"/*.jpg; do
    djpeg -bmp -outfile "$work/bitmaps/$(basename "$photo" .jpg).bmp" "$photo"
done

# ask FOLDER PROGRAM…: everything that `coca` can say about the pictures of a folder, and about texts.
ask() {
    local folder=$1
    shift
    "$@" classify "$folder" --labels "$labels" --format jsonl
    "$@" caption "$folder" --format jsonl
    "$@" embed "$folder"
    "$@" embed --text "a photo of a cat" --text "a cup of coffee"
}

ask "$work/bitmaps" "$native_coca" --quiet >"$work/bitmaps.expected"
ask "$photos" "$native_coca" --quiet >"$work/photos.expected"

answers_on() {
    local name tests folder kernel run=(timeout 300 qemu-aarch64-static "$board_coca" --quiet)
    export QEMU_CPU=$1
    kernel=$("${run[@]}" info --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["kernel"])')
    [ "$kernel" = "${kernels[$1]}" ] || die "it took the kernels $kernel; it should take ${kernels[$1]}"
    echo "kernels: $kernel"
    ask "$work/bitmaps" "${run[@]}" >"$work/$1.bitmaps"
    python3 "$bed/agree.py" "$work/bitmaps.expected" "$work/$1.bitmaps" "${same[@]}"
    # The JPEG decoder computes the same on all of them.
    if [ "$1" = "$decoding" ]; then
        ask "$photos" "${run[@]}" >"$work/$1.photos"
        python3 "$bed/agree.py" "$work/photos.expected" "$work/$1.photos" "${near[@]}"
    fi
    while read -r name tests folder; do
        echo "$name"
        (cd "$folder" && timeout 600 qemu-aarch64-static "$tests" --quiet </dev/null)
    done <"$cache/tests"
}

decoding=cortex-a53
declare -A kernels=([cortex-a53]=neon [cortex-a72]=neon [cortex-a76]=dotprod [max]=i8mm)
side_by_side answers_on cortex-a53 cortex-a72 cortex-a76 max
