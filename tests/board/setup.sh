#!/usr/bin/env bash
# Installs and builds what the test bed needs: Debian's packages, Debian's arm64 kernel, a camera driver for it, and a cross compiler.
# Debian 12 on x86-64; as root, or with sudo, where packages are missing.
#   setup.sh [--packages]     --packages: nothing but the packages
source "$(dirname "$0")/environment.sh"

packages=(
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross libc6:arm64 libclang-dev qemu-user-static qemu-system-arm
    linux-kbuild-6.1 make kmod cpio python3 python3-venv libjpeg-turbo-progs
)

install_packages() {
    dpkg -s "${packages[@]}" >/dev/null 2>&1 && return
    as_root dpkg --add-architecture arm64
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}"
}

# Debian's kernel of the day, a shell for it, and what its modules are built with, unpacked into $cache/debian.
unpack_kernel() {
    local image version
    image=$(apt-cache depends linux-image-arm64:arm64 | sed -n 's/.*Depends: \(linux-image-[^:]*\).*/\1/p')
    version=${image#linux-image-}
    [ -n "$version" ] || die "apt knows no linux-image-arm64:arm64"
    [ "$(cat "$cache/kernel" 2>/dev/null)" = "$version" ] && return
    rm -rf "$cache"/{kernel,debian,packages,v4l2loopback}
    mkdir -p "$cache"/{debian,packages}
    cd "$cache/packages"
    apt-get download -qq "$image:arm64" busybox-static:arm64 "linux-headers-$version:arm64" \
        "linux-headers-${version%-arm64}-common" v4l2loopback-dkms
    for package in *.deb; do dpkg -x "$package" "$cache/debian"; done
    rm -r "$cache/packages"
    depmod -b "$cache/debian" "$version"
    build_camera "$version"
    echo "$version" >"$cache/kernel"
}

# v4l2loopback: a camera that shows what another program writes to it.
build_camera() {
    local headers=$cache/debian/usr/src/linux-headers-$1
    # The headers expect to lie in /usr.
    sed -i "s|/usr/src/|$cache/debian/usr/src/|" "$headers/Makefile"
    ln -sfn /usr/lib/linux-kbuild-6.1 "$cache/debian/usr/lib/linux-kbuild-6.1"
    cp -a "$cache"/debian/usr/src/v4l2loopback-* "$cache/v4l2loopback"
    make -s -C "$headers" M="$cache/v4l2loopback" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- \
        CONFIG_DEBUG_INFO_BTF_MODULES= modules
    aarch64-linux-gnu-strip --strip-debug "$cache/v4l2loopback/v4l2loopback.ko"
}

install_packages
[ "${1:-}" != --packages ] || exit 0
(unpack_kernel)
(cd "$repository"; use_toolchain)
for program in feed control; do
    aarch64-linux-gnu-gcc -O2 -Wall -Wextra -Werror -static "$bed/guest/$program.c" -o "$cache/$program"
done
echo "kernel $(cat "$cache/kernel"), $(qemu-system-aarch64 --version | head -1)"
