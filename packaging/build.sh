#!/usr/bin/env bash
# Builds a Debian package for boards (arm64) or PCs (amd64). packaging/toolchain.sh says what it needs and installs, as root.
#
#   packaging/build.sh [arm64|amd64]        the package's path is the last line
set -euo pipefail
cd "$(dirname "$0")/.."
architecture=${1:-$(dpkg --print-architecture)}
source packaging/toolchain.sh
# Optimising the whole program at once takes a fifth off `coca`. It takes 4 GB of memory and minutes, so only packages do it.
export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
cargo-zigbuild zigbuild "${build[@]}" --bins

newest=$(readelf -V "$output/coca" "$output/coca-quantize" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
[ "$(printf '%s\n' GLIBC_2.31 "$newest" | sort -V | tail -1)" = GLIBC_2.31 ] ||
  { echo "needs $newest, which Debian 11 and JetPack 5 lack" >&2; exit 1; }

# Man pages and completions come from the programs themselves.
rm -rf "$output/manual" && mkdir "$output/manual"
for program in coca coca-quantize; do
  $emulator "$output/$program" manual "$output/manual"
done
gzip -9n "$output/manual"/*.1

if ! [ -x "$tools/bin/cargo-deb" ]; then
  cargo install --quiet --locked cargo-deb@3.8.0 --root "$tools"
fi
"$tools/bin/cargo-deb" deb --no-build --locked --target "$target" --profile release
