#!/usr/bin/env bash
# Builds a Debian package for boards (arm64) or PCs (amd64) that glibc 2.31 suffices for: Debian 11, JetPack 5 and newer.
#
#   packaging/build.sh [arm64|amd64]        the package's path is the last line
#
# Debian and root, or these installed: libclang-dev, qemu-user-static (arm64), python3-venv; Rust; a network.
# PROFILE=dev compiles faster and runs slower.
set -euo pipefail
cd "$(dirname "$0")/.."
architecture=${1:-$(dpkg --print-architecture)}
profile=${PROFILE:-release}
tools=${TOOLS:-target/packaging}

case $architecture in
  arm64) target=aarch64-unknown-linux-gnu emulator=qemu-aarch64-static ;;
  amd64) target=x86_64-unknown-linux-gnu emulator= ;;
  *) echo "usage: packaging/build.sh [arm64|amd64]" >&2; exit 2 ;;
esac
case $profile in dev) folder=debug ;; *) folder=$profile ;; esac

install_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" >/dev/null
}

# zig links against any glibc; the system's C compiler compiles what little C there is.
if ! [ -x "$tools/venv/bin/cargo-zigbuild" ]; then
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install -q cargo-zigbuild==0.24.0 ziglang==0.16.0
fi
if ! [ -x "$tools/bin/cargo-deb" ]; then
  cargo install --quiet --locked cargo-deb --root "$tools"
fi
packages=(libclang-dev)
if [ "$architecture" = arm64 ]; then
  packages+=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static)
  # Without the target's standard library from rustup, Debian's Rust has it.
  if ! rustup target add "$target" 2>/dev/null; then
    dpkg --add-architecture arm64
    packages+=(rustc-web cargo-web libstd-rust-web-dev:arm64)
    export CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
  fi
  export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
  export CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
  export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
fi
dpkg -s "${packages[@]}" >/dev/null 2>&1 || { apt-get update -qq && install_packages "${packages[@]}"; }

export PATH="$PWD/$tools/venv/bin:$PWD/$tools/bin:$PATH"
cargo-zigbuild zigbuild --locked --workspace --bins --profile "$profile" --features camera --target "$target.2.31"

# Man pages and completions come from the programs themselves.
output=target/$target/$folder
rm -rf "$output/manual" && mkdir "$output/manual"
for program in coca coca-quantize; do
  $emulator "$output/$program" manual "$output/manual"
done

newest=$(readelf -V "$output/coca" "$output/coca-quantize" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1)
[ "$(printf '%s\n' GLIBC_2.31 "$newest" | sort -V | tail -1)" = GLIBC_2.31 ] ||
  { echo "needs $newest, which Debian 11 and JetPack 5 lack" >&2; exit 1; }

cargo-deb deb --no-build --locked --target "$target" --profile "$profile"
