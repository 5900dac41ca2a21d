#!/usr/bin/env bash
# Builds for the board what the package for boards holds, the tests of coca-kernels and coca-engine, and those of the embedded
# model's answers: as packaging/build.sh does, but for the last optimisation, that of the whole program at once, which takes as long
# again for each. Name, program and package folder of each test go to $cache/tests.
source "$(dirname "$0")/environment.sh"
cd "$repository"
use_toolchain
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
cargo-zigbuild test "${build[@]}" --package coca-edge --package coca-engine --package coca-kernels \
    --no-run --lib --test pocket --message-format json-render-diagnostics |
    python3 -c '
import json, os, sys
wanted = {"coca_kernels", "coca_engine", "pocket"}
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and built["profile"]["test"] and built["target"]["name"] in wanted:
        print(built["target"]["name"], built["executable"], os.path.dirname(built["manifest_path"]))
' >"$cache/tests"
[ "$(wc -l <"$cache/tests")" = 3 ] || die "cargo named other tests than expected: $(cat "$cache/tests")"
