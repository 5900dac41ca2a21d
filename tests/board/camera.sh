#!/usr/bin/env bash
# camera.sh CPU…: the board with a camera, on each CPU, with the memory of a Pi Zero 2 W.
# Pictures that the camera shows are labelled and captioned as their files are here; faults are reported and recovered from.
source "$(dirname "$0")/environment.sh"
[ $# -ge 1 ] || die "camera.sh CPU…"

megabytes=512
labels="cat,dog,cup of coffee,rocket,bicycle"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# YUYV has pairs of columns: an odd one is left out. Both are pictures that the model is sure of: what it says of others turns
# on the last bits of a pixel, and a camera's frames have others than a file.
jpegtran -crop 450x300+0+0 -outfile cat.jpg "$photos/cat.jpg"
cp "$photos/coffee.jpg" .
for picture in *.jpg; do
    frame=${picture%.jpg}.yuyv
    size=$(djpeg -pnm "$picture" | python3 "$bed/yuyv.py" "$frame")
    echo "$picture MJPG $size $picture"
    echo "$picture YUYV $size $frame"
done >pictures
echo "$labels" >labels
# kB that `coca watch` may take at its peak.
echo 100000 >most-memory

"$native_coca" --quiet classify ./*.jpg --labels "$labels" --format jsonl >expected
"$native_coca" --quiet caption ./*.jpg --format jsonl >>expected

watches_on() {
    "$bed/boot.sh" "$1" $megabytes 900 "v4l2loopback devices=1 video_nr=0 max_buffers=4" "$bed/guest/watch.sh" \
        pictures labels most-memory ./*.jpg ./*.yuyv | tee "$1.found"
    # A JPEG decoder of another SIMD makes pixels a step apart, and chroma of pairs of pixels changes more: enough to turn a word of the
    # doubtful caption, and the cup's share, 0.92 in its file, to 0.96.
    python3 "$bed/agree.py" expected "$1.found" --score 0.06 --words 0.5
    "$bed/boot.sh" "$1" $megabytes 900 "vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0" "$bed/guest/faults.sh"
}
side_by_side watches_on "$@"
