# Shared by the scripts of the test bed, which source it.
set -euo pipefail

bed=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$bed/../.." && pwd)
# Packages, the kernel, and everything that is cross-built: outside the clone, for the next run.
cache=${COCA_BOARD_CACHE:-$HOME/.cache/coca-board}
target=aarch64-unknown-linux-gnu
# The program for the board, and the same program for this machine.
board_coca=$cache/target/$target/release/coca
native_coca=${NATIVE_COCA:-${CARGO_TARGET_DIR:-$repository/target}/debug/coca}
photos=$repository/tests/photos

die() {
    echo "tests/board: $*" >&2
    exit 1
}

# Sets the variables of packaging/toolchain.sh for the board. In the repository's folder.
use_toolchain() {
    export CARGO_TARGET_DIR=$cache/target TOOLS=$cache/tools architecture=arm64
    source packaging/toolchain.sh
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# side_by_side FUNCTION CPU…: FUNCTION with each CPU, one on each processor of this machine at a time. Shows what each said once
# it has ended; fails if one failed.
side_by_side() {
    local function=$1 said status=0 cpu
    shift
    said=$(mktemp -d)
    for cpu in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
        ("$function" "$cpu"; touch "$said/$cpu.passed") >"$said/$cpu" 2>&1 &
    done
    wait
    for cpu in "$@"; do
        printf '\n== %s\n' "$cpu"
        cat "$said/$cpu"
        [ -e "$said/$cpu.passed" ] || { echo "FAILED on $cpu"; status=1; }
    done
    rm -r "$said"
    return $status
}
