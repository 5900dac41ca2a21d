#!/usr/bin/env bash
# boot.sh CPU MEGABYTES SECONDS "MODULE OPTIONS" TEST FILE…
# Boots the board: Debian's arm64 kernel with MODULE on an emulated CPU, the program, the FILEs, and TEST to run there.
# Ends as TEST ends. SECONDS bounds all of it.
source "$(dirname "$0")/environment.sh"
[ $# -ge 5 ] || die "boot.sh CPU MEGABYTES SECONDS \"MODULE OPTIONS\" TEST FILE…"
cpu=$1 megabytes=$2 seconds=$3 module=${4%% *} options=${4#"$module"} test=$5
shift 5

kernel=$(cat "$cache/kernel")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,lib,proc,sys,dev,tmp,modules,test}

cp "$cache/debian/bin/busybox" "$root/bin/"
for name in sh mount insmod dmesg poweroff sleep cat cut grep head tail kill tr wc seq ls; do
    ln -s busybox "$root/bin/$name"
done
cp -L /lib/ld-linux-aarch64.so.1 "$root/lib/"
readelf -d "$board_coca" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r library; do
    [ -e "$root/lib/$library" ] || cp -L "/lib/aarch64-linux-gnu/$library" "$root/lib/"
done
cp "$board_coca" "$root/bin/coca"
cp "$bed/guest/init.sh" "$root/init"
chmod +x "$root/init"
cp "$test" "$root/test/test.sh"
cp "$bed/guest/expect.sh" "$cache/feed" "$cache/control" "$@" "$root/test/"

# The driver and what it needs, in the order of loading.
needed=$module
[ "$module" != v4l2loopback ] || needed=videodev
modprobe -d "$cache/debian" -S "$kernel" --show-depends "$needed" | while read -r kind path _; do
    [ "$kind" = insmod ] || continue
    cp "$path" "$root/modules/"
    basename "$path"
done >"$root/modules/list"
if [ "$module" = v4l2loopback ]; then
    cp "$cache/v4l2loopback/v4l2loopback.ko" "$root/modules/"
    echo v4l2loopback.ko >>"$root/modules/list"
fi
sed -i "s|^$module.ko|& $options|" "$root/modules/list"

(cd "$root" && find . | cpio --quiet -o -H newc >"$work/initramfs")
rm -r "$root"
timeout "$seconds" qemu-system-aarch64 -M virt -cpu "$cpu" -m "$megabytes" -smp 2 -nographic -no-reboot -net none \
    -kernel "$cache/debian/boot/vmlinuz-$kernel" -initrd "$work/initramfs" \
    -append "console=ttyAMA0 quiet panic=-1" </dev/null | stdbuf -oL tr -d "\r" | tee "$work/console"
grep -q '^BOARD STATUS 0$' "$work/console"
