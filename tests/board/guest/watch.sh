# On the board: a camera that shows a picture, and what `coca watch` makes of it, for each line of `pictures`.
. ./expect.sh

while read -r picture fourcc width height frame; do
    echo "== $picture as $fourcc"
    ./feed /dev/video0 "$fourcc" "$width" "$height" 5 "$frame" 2>/tmp/feed.err &
    feeder=$!
    sleep 1
    rm -f /tmp/watch.out
    coca watch --source /dev/video0 --labels "$(cat labels)" --smoothing 0 --caption-on scene --format jsonl \
        >/tmp/watch.out 2>/tmp/watch.err &
    coca=$!
    expect 180 /tmp/watch.out '"caption"' >/dev/null
    echo "{\"source\":\"$picture\",\"watch\":$(grep '"caption"' /tmp/watch.out | head -n 1)}"
    peak=$(grep VmHWM "/proc/$coca/status" | tr -dc 0-9)
    kill $coca
    ends 20 $coca || failed "coca ended with $?"
    kill $feeder
    wait $feeder 2>/dev/null
    grep 'frames labelled' /tmp/watch.err || failed "no summary"
    echo "PEAK $peak kB"
    [ "$peak" -lt "$(cat most-memory)" ] || failed "it took $peak kB at its peak"
done <pictures
if dmesg | grep -i 'out of memory'; then failed "the kernel ran out of memory"; fi
