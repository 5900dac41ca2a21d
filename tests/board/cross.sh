#!/usr/bin/env bash
# Builds for the board what the package for boards holds (packaging/build.sh), and the tests of the embedded model's answers.
# Where those lie is written to $cache/tests.
source "$(dirname "$0")/environment.sh"
cd "$repository"
export CARGO_TARGET_DIR=$cache/target TOOLS=$cache/tools architecture=arm64
source packaging/toolchain.sh
cargo-zigbuild zigbuild "${build[@]}" --bins
cargo-zigbuild test "${build[@]}" --no-run --test pocket --message-format json-render-diagnostics |
    python3 -c '
import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and built["target"]["name"] == "pocket":
        print(built["executable"])
' >"$cache/tests"
