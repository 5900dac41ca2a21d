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
    awk -v wanted="$2" -v times="$3" -v unwanted="${4:-}" -f "$here/inner_loop.awk" "$emit" >"$kept/$1.s"
    [ -s "$kept/$1.s" ] || { echo "no loop of $3 $2 in $emit" >&2; exit 1; }
}
inner_loop neon 'smull|smlal2' 32 addp  # 4 × 4 × 16, eight multiply-adds each; static pointwise layers run the same loop
inner_loop dotprod sdot 96              # 6 × 16 × 16, sixteen each
inner_loop i8mm smmla 24                # 6 × 16 × 8, thirty-two each
inner_loop codes-dotprod sdot 64        # static pointwise, 4 × 16 × 16, sixteen each
inner_loop codes-i8mm smmla 16          # static pointwise, 4 × 16 × 8, thirty-two each
inner_loop stem 'smull2?' 72            # four pixels × 4 channels × 36 inputs, eight each
inner_loop depthwise-3-1 'smull2?' 32   # static depthwise 3 × 3 at stride 1: a line for 4 outputs × 16 channels, eight each
inner_loop depthwise-3-2 'smull2?' 36   # 3 × 3 at stride 2: 4 outputs × 4 channels
inner_loop depthwise-5 'smull2?' 80     # 5 × 5 at either stride: 4 outputs × 4 channels
inner_loop f32 fmla 64 'fmul|fadd|fsub' # 8 × 8 × 4, four each

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
cortex-a53 stem smull2?
cortex-a72 stem smull2?
cortex-a53 depthwise-3-1 smull2?
cortex-a72 depthwise-3-1 smull2?
cortex-a53 depthwise-3-2 smull2?
cortex-a72 depthwise-3-2 smull2?
cortex-a53 depthwise-5 smull2?
cortex-a72 depthwise-5 smull2?
cortex-a53 f32 fmla
cortex-a72 f32 fmla
cortex-a76 f32 fmla
neoverse-n1 f32 fmla
LOOPS
