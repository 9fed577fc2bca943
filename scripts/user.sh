#!/bin/sh
# The user that the API daemon runs as: no shell, no home, no password.
set -eu
getent passwd bulkhead >/dev/null 2>&1 && exit 0
[ "$(id -u)" = 0 ] || { echo "needs root, to make the system user 'bulkhead'" >&2; exit 1; }
useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin bulkhead
