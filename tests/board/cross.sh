#!/usr/bin/env bash
# Builds for the board what the package for boards holds, the library's own tests, and those of the embedded model's answers: as
# packaging/build.sh does, but for the last optimisation, that of the whole program at once, which takes as long again for each.
# Where the tests lie is written to $cache/tests.
source "$(dirname "$0")/environment.sh"
cd "$repository"
use_toolchain
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
cargo-zigbuild test "${build[@]}" --package coca-edge --no-run --lib --test pocket --message-format json-render-diagnostics |
    python3 -c '
import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and built["profile"]["test"]:
        print(built["target"]["name"], built["executable"])
' >"$cache/tests"
[ "$(wc -l <"$cache/tests")" = 2 ] || die "cargo named other tests than expected: $(cat "$cache/tests")"
