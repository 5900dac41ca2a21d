#!/usr/bin/env bash
# How near the inner loops come to the multiply-add limit of the cores they are for, as llvm-mca predicts it.
# Run tests/board/kernels.sh first, which installs the target's library; needs Debian's llvm, better llvm-22.
#   benches/llvm_mca/run.sh [DIR]     DIR keeps the loops and llvm-mca's reports
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kept=$(realpath -m "${1:-$(mktemp -d)}")
mkdir -p "$kept"
target=aarch64-unknown-linux-gnu
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/coca-board/kernels}
mca=$(compgen -c llvm-mca | sort -uV | tail -1)

cd "$here/../.."
emit=$kept/kernels.s
cargo rustc --quiet --locked --package coca-kernels --lib --release --target $target -- -C codegen-units=1 --emit asm="$emit"

# One loop a kernel, known by how many of its instructions a pass has: rows × columns × inputs of the largest tile.
inner_loop() {
    awk -v wanted="$2" -v times="$3" -v unwanted="${4:-}" -v which="${5:-1}" -f "$here/inner_loop.awk" "$emit" >"$kept/$1.s"
    [ -s "$kept/$1.s" ] || { echo "no loop of $3 $2 in $emit" >&2; exit 1; }
}
inner_loop neon 'smull|smlal2' 32 addp  # 4 × 4 × 16, eight multiply-adds each; pointwise layers and the stem run the same loop
inner_loop dotprod sdot 96              # 6 × 16 × 16, sixteen each
inner_loop i8mm smmla 24 '' 2           # 6 × 16 × 8, thirty-two each; static layers' loops stand around the linear layers'
inner_loop codes-dotprod sdot 96 '' 3   # static pointwise, the same
inner_loop codes-i8mm smmla 24 '' 4     # static pointwise, the same
inner_loop f32 fmla 64 'fmul|fadd|fsub' # 8 × 8 × 4, four each

# Depthwise layers by `sdot` and its stem: a line of four outputs × 16 channels.
inner_loop sdot-3-2 sdot 24
inner_loop sdot-5 sdot 32
inner_loop sdot-stem sdot 48
# All lines at once, from the biases to the sums; of those by `smull`, first the one at stride 1, then the one at stride 2.
outputs() { # FILE INSTRUCTIONS TIMES WHICH
    awk -v wanted="$2" -v times="$3" -v which="$4" -v end=scvtf -f "$here/block.awk" "$emit" >"$kept/$1.s"
    [ -s "$kept/$1.s" ] || { echo "no block of $3 $2 in $emit" >&2; exit 1; }
}
outputs sdot-3-1 sdot 48 1
outputs smull-3-1 smull2 20 1 # nine taps, of which two share an smull and an smlal for eight channels
outputs smull-3-2 smull2 20 2
outputs smull-5-1 smull2 52 1
outputs smull-5-2 smull2 52 2

cycles() { # CORE FILE: of one pass, when many follow each other
    $mca -mtriple=$target -mcpu="$1" -mattr=+dotprod,+i8mm -iterations=1000 "$2" 2>/dev/null |
        awk '/^Total Cycles/ { printf "%.1f", $3 / 1000; exit }'
}
limit() { # CORE FILE: of its multiply-adds alone, if nothing kept them waiting
    $mca -mtriple=$target -mcpu="$1" -mattr=+dotprod,+i8mm "$2" 2>/dev/null | awk '/^Block RThroughput/ { print $3; exit }'
}

echo "$(rustc --version), $($mca --version | grep -o 'LLVM version.*'), $(date -u +%F)"
printf '%-12s %-14s %13s %13s %6s\n' core loop 'limit, cycles' 'loop, cycles' share
while read -r core loop multiply_add; do
    awk -v wanted="^($multiply_add)$" '$1 ~ wanted' "$kept/$loop.s" >"$kept/alone.s"
    awk -v core="$core" -v loop="$loop" -v limit="$(limit "$core" "$kept/alone.s")" -v cycles="$(cycles "$core" "$kept/$loop.s")" \
        'BEGIN { printf "%-12s %-14s %13.1f %13.1f %5.1f%%\n", core, loop, limit, cycles, 100 * limit / cycles }'
done <<'LOOPS'
cortex-a53 neon smull|smlal2
cortex-a72 neon smull|smlal2
cortex-a76 dotprod sdot
neoverse-n1 dotprod sdot
neoverse-n2 i8mm smmla
cortex-a76 codes-dotprod sdot
neoverse-n1 codes-dotprod sdot
neoverse-n2 codes-i8mm smmla
cortex-a53 smull-3-1 sm(ul|la)l2?
cortex-a72 smull-3-1 sm(ul|la)l2?
cortex-a53 smull-3-2 sm(ul|la)l2?
cortex-a72 smull-3-2 sm(ul|la)l2?
cortex-a53 smull-5-1 sm(ul|la)l2?
cortex-a72 smull-5-1 sm(ul|la)l2?
cortex-a53 smull-5-2 sm(ul|la)l2?
cortex-a72 smull-5-2 sm(ul|la)l2?
cortex-a76 sdot-3-1 sdot
neoverse-n1 sdot-3-1 sdot
cortex-a76 sdot-3-2 sdot
neoverse-n1 sdot-3-2 sdot
cortex-a76 sdot-5 sdot
neoverse-n1 sdot-5 sdot
cortex-a76 sdot-stem sdot
neoverse-n1 sdot-stem sdot
cortex-a53 f32 fmla
cortex-a72 f32 fmla
cortex-a76 f32 fmla
neoverse-n1 f32 fmla
LOOPS
