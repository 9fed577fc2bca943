#!/bin/sh
# Install the Debian packages that are missing. Usage: packages.sh build|test
# build: what compiling needs beside Rust. test: clients, images and peers of the test suite; a
# package that this release of Debian does not have is passed over, and the tests that need it say so.
set -eu

# program:package
case "${1:-}" in
    build) wanted="cc:gcc make:make" ;;
    test) wanted="cc:gcc busybox:busybox-static mmdebstrap:mmdebstrap nft:nftables ip:iproute2
        crun:crun strace:strace skopeo:skopeo python3:python3 docker:docker-cli|docker.io" ;;
    *) echo "usage: $0 build|test" >&2; exit 2 ;;
esac

missing=
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing packages:$missing (install them, or run this as root on Debian)" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
for package in $missing; do
    first=${package%%|*}
    second=${package#*|}
    apt-get install -y -qq --no-install-recommends "$first" >/dev/null 2>&1 ||
        apt-get install -y -qq --no-install-recommends "$second" >/dev/null ||
        echo "package $package cannot be installed; tests that need it are skipped" >&2
done
