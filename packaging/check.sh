#!/usr/bin/env bash
# Installs a package that packaging/build.sh built in Debian 11 of its architecture, uses what it holds, and removes it.
#
#   packaging/check.sh PACKAGE
#
# As root on Debian, with debootstrap and, for boards, qemu-user-static (whose binfmt entry runs the other architecture).
# The fresh system is kept in $COCA_BOARD_CACHE (~/.cache/coca-board), the one that is worked in is thrown away.
set -euo pipefail
package=$(realpath "${1:?usage: packaging/check.sh PACKAGE}")
cd "$(dirname "$0")/.."
architecture=$(dpkg-deb -f "$package" Architecture)
fresh=${COCA_BOARD_CACHE:-$HOME/.cache/coca-board}/debian-11-$architecture

fail() {
  echo "packaging/check.sh: $*" >&2
  exit 1
}

if ! [ -e "$fresh/complete" ]; then
  mirror=$(apt-get download --print-uris -qq base-files | sed "s|^'\(.*\)/pool/.*|\1|")
  rm -rf "$fresh"
  mkdir -p "$fresh"
  timeout 1800 debootstrap --variant=minbase --include=systemd,udev --arch="$architecture" bullseye "$fresh/root" "$mirror"
  touch "$fresh/complete"
fi

work=$(mktemp -d)
clean() {
  umount "$work/root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap clean EXIT
cp -a --reflink=auto "$fresh/root" "$work/root"
mount -t proc proc "$work/root/proc"
inside() { timeout 300 chroot "$work/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
files() { (cd "$work/root" && find . -xdev ! -path './var/lib/dpkg/*' ! -path './var/log/*' ! -path './tmp/*' | sort); }

echo "== install"
files >"$work/before"
cp "$package" "$work/root/tmp/coca.deb"
cp tests/photos/cat.jpg "$work/root/tmp/"
inside dpkg -i /tmp/coca.deb
[ -z "$(inside dpkg --audit)" ] || fail "dpkg --audit complains"
du -k "$work/root/usr/bin"/coca*
size=$(stat -c %s "$work/root/usr/bin/coca")
# The limit for boards; on x86-64 kernels are larger, and so are disks.
[ "$architecture" != arm64 ] || [ "$size" -le 34000000 ] || fail "coca has $size bytes"

echo "== use"
inside coca --version
inside coca-quantize --version
inside coca --quiet classify /tmp/cat.jpg --labels "cat,dog,cup of coffee,rocket" --format jsonl | tee "$work/labels"
grep -q '"labels":\[{"label":"cat"' "$work/labels" || fail "the cat is not a cat"
inside coca --quiet caption /tmp/cat.jpg
status=0
inside coca doctor || status=$?
[ $status -le 1 ] || fail "coca doctor ended with $status"

echo "== manual and completions"
for page in coca coca-watch coca-quantize coca-quantize-import; do
  zgrep -q '^\.TH' "$work/root/usr/share/man/man1/$page.1.gz" || fail "no manual page of $page"
done
zgrep -q 'max\\-temperature' "$work/root/usr/share/man/man1/coca-watch.1.gz" || fail "coca-watch(1) lacks an option"
completed=$(inside bash -c '. /usr/share/bash-completion/completions/coca
  COMP_WORDS=(coca cap) COMP_CWORD=1 && _coca coca cap coca && echo "${COMPREPLY[*]}"')
[ "$completed" = caption ] || fail "bash completes \"coca cap\" to \"$completed\""

echo "== service"
inside id coca-watch | tee "$work/groups"
for file in watch.conf credentials; do
  [ "$(stat -c %a "$work/root/etc/coca-edge/$file")" = 640 ] || fail "everybody may read /etc/coca-edge/$file"
done
for group in video render; do grep -q "($group)" "$work/groups" || fail "coca-watch is not in the group $group"; done
# systemd-analyze needs a control group of its own, which a chroot lacks: so this machine's, where it has one.
if command -v systemd-analyze >/dev/null; then
  systemd-analyze --man=no --root="$work/root" verify coca-watch.service
fi
# The service's own command, for two frames of a source that needs no camera.
options=$(sed -n 's/^OPTIONS=//p' "$work/root/etc/coca-edge/watch.conf")
display=$(sed -n 's/^DISPLAY=//p' "$work/root/etc/coca-edge/watch.conf")
# shellcheck disable=SC2086
timeout 300 chroot --userspec=coca-watch "$work/root" \
  coca watch --source test --display "$display" $options --frames 2 --caption-on never

echo "== remove, purge"
inside dpkg -r coca-edge
[ -e "$work/root/etc/coca-edge/watch.conf" ] || fail "removing took the configuration"
inside dpkg -P coca-edge
files >"$work/after"
diff "$work/before" "$work/after" || fail "purging left files, or took others"
echo "$(basename "$package"): installs, works and goes in Debian $(cat "$fresh/root/etc/debian_version"), $architecture"
