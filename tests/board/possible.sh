#!/usr/bin/env bash
# Whether the test bed can run on this machine; if not, says why.
[ "$(uname -m)" = x86_64 ] || { echo "not an x86-64 machine"; exit 1; }
grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release || { echo "not Debian 12"; exit 1; }
[ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || { echo "neither root nor sudo without a password"; exit 1; }
timeout 60 apt-get download --print-uris -qq busybox-static >/dev/null 2>&1 ||
    { [ "$(id -u)" = 0 ] && timeout 120 apt-get update -qq -o APT::Update::Error-Mode=any >/dev/null 2>&1; } ||
    { echo "Debian's packages are out of reach"; exit 1; }
