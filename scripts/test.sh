#!/bin/sh
# Run every test and count. A test that lacks something on this host writes a line into the file
# $BULKHEAD_SKIPS ("name: reason") and returns; it is counted as skipped, not as passed.
set -u
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "needs root: the tests start real engines" >&2; exit 1; }

log=$(mktemp)
BULKHEAD_SKIPS=$(mktemp)
export BULKHEAD_SKIPS
trap 'rm -f "$log" "$BULKHEAD_SKIPS"' EXIT

# Without --no-fail-fast one failure would hide the rest.
cargo test --locked --workspace --no-fail-fast "$@" 2>&1 | tee "$log"

count() { awk -v word="$1" '/^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" word) total += $(i - 1) } END { print total + 0 }' "$log"; }
passed=$(count passed)
failed=$(count failed)
ignored=$(count ignored)
# A test program that did not build or that died has no result line.
broken=$(grep -c '^error\(\[E[0-9]*\]\)\?: ' "$log")
skipped=$(sort -u "$BULKHEAD_SKIPS" | grep -c .)
if [ "$skipped" -gt 0 ]; then
    echo
    sort -u "$BULKHEAD_SKIPS" | sed 's/^/skipped: /'
fi
[ "$failed" -gt 0 ] || [ "$broken" -eq 0 ] || failed=$broken
echo
echo "$((passed - skipped)) passed, $failed failed, $((skipped + ignored)) skipped"
[ "$failed" -eq 0 ]
