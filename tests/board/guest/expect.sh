# What the tests on the board share; they source it.

failed() {
    {
        echo "FAILED: $*"
        for file in /tmp/*.err; do echo "-- $file"; tail -n 20 "$file"; done
    } >/dev/console
    exit 1
}

# expect SECONDS FILE PATTERN: waits until a line of FILE matches, and shows it.
expect() {
    seconds=$1
    while ! grep -qsE "$3" "$2"; do
        [ "$seconds" -gt 0 ] || failed "no \"$3\" in $2 within $1 s"
        seconds=$((seconds - 1))
        sleep 1
    done
    echo "  $(grep -E "$3" "$2" | head -n 1 | cut -c 1-160)"
}

# ends SECONDS PROCESS: waits until it is over, and ends it itself if it takes longer.
ends() {
    seconds=$1
    while kill -0 "$2" 2>/dev/null; do
        [ "$seconds" -gt 0 ] || { kill -9 "$2"; failed "process $2 did not end within $1 s"; }
        seconds=$((seconds - 1))
        sleep 1
    done
    wait "$2"
}
