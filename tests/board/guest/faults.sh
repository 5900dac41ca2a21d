# On the board: a webcam with every fault that the driver vivid can play, and what `coca watch` says and does about it.
. ./expect.sh
camera=/dev/video0
out=/tmp/watch.out
err=/tmp/watch.err

start() {
    : >$out
    coca watch --source $camera --size 320x180 --labels "cat,dog,test pattern" --caption-on never --format jsonl \
        >>$out 2>>$err &
    coca=$!
    frames_come
}

# New frames are labelled.
frames_come() {
    lines=$(wc -l <$out)
    seconds=90
    while [ "$(wc -l <$out)" -lt $((lines + 2)) ]; do
        [ $seconds -gt 0 ] || failed "no frames"
        seconds=$((seconds - 1))
        sleep 1
    done
}

# recovers TROUBLE: it says so once more, and goes on by itself.
recovers() {
    expect 60 $err "$1"
    frames_come
    : >$err
}

stop() {
    kill $coca
    ends 20 $coca || failed "coca ended with $?"
}

set_control() {
    ./control $camera "$@" || failed "control $*"
}

echo "== a rate that another program left behind: 2/25 s"
./control $camera interval 2 25
start
: >$err

echo "== frames flagged as damaged"
set_control "Inject V4L2_BUF_FLAG_ERROR" 1
expect 30 $out '"damaged":[1-9]'
frames_come

echo "== no frames for a while"
set_control "Percentage of Dropped Buffers" 100
expect 60 $err 'no frame for [0-9.]+ s; opening it again'
set_control "Percentage of Dropped Buffers" 0
recovers 'no frame for [0-9.]+ s; opening it again'

echo "== a fatal error while streaming"
set_control "Inject Fatal Streaming Error" 1
recovers 'Input/output error.*opening it again'

echo "== the cable is pulled and plugged in again"
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
expect 60 $err 'No such device.*opening it again'
[ ! -e $camera ] || failed "$camera is still there"
echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
recovers 'opening it again'

stop
