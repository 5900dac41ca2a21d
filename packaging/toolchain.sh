# Toolchain for programs that run on boards (arm64) and PCs (amd64) with glibc 2.31 or newer: Debian 11, JetPack 5.
# Sourced with $architecture set, in the repository's folder; sets $target, $emulator, $output (the folder of the programs)
# and $build (the arguments of cargo-zigbuild).
#
# Needs Debian, Rust and a network; root, where packages are missing: libclang-dev, python3-venv and, for arm64,
# a cross compiler and qemu-user-static. CARGO_TARGET_DIR and TOOLS say where programs and tools are kept.
folder=${CARGO_TARGET_DIR:-$PWD/target}
# Not below this folder: zig would name its headers relative to it, and bindgen runs elsewhere.
tools=${TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/coca-packaging}

case $architecture in
  arm64) target=aarch64-unknown-linux-gnu emulator=qemu-aarch64-static ;;
  amd64) target=x86_64-unknown-linux-gnu emulator= ;;
  *) echo "an architecture was expected, arm64 or amd64, found $architecture" >&2; exit 2 ;;
esac
output=$folder/$target/release
build=(--locked --release --features "camera,spi" --target "$target.2.31")

packages=(libclang-dev python3-venv)
if [ "$architecture" = arm64 ]; then
  packages+=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static)
  # Without the target's standard library from rustup, Debian's Rust has it.
  if ! rustup target add "$target" 2>/dev/null; then
    dpkg --print-foreign-architectures | grep -qx arm64 || dpkg --add-architecture arm64
    packages+=(rustc-web cargo-web libstd-rust-web-dev:arm64)
    export CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
  fi
  export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
  export CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
  export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
fi
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# zig links against any glibc; the system's C compiler compiles what little C there is.
if ! [ -x "$tools/venv/bin/cargo-zigbuild" ]; then
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install -q cargo-zigbuild==0.24.0 ziglang==0.16.0
fi
export PATH="$tools/venv/bin:$PATH"
