#!/bin/sh
# The test suite in a QEMU guest: Debian 12 with its stock cloud kernel (6.1), systemd and cgroup v2, made from
# Debian packages. No KVM is needed: without /dev/kvm the guest runs under software emulation, slowly.
#
# Usage: test-vm.sh [FILTER]     run only tests whose name contains FILTER
set -eu
cd "$(dirname "$0")/.."
repo=$PWD
[ "$(id -u)" = 0 ] || { echo "needs root, to make a root file system" >&2; exit 1; }
filter=${1:-}
work=target/vm
suite=bookworm
mkdir -p "$work"

for pair in qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap mke2fs:e2fsprogs; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || {
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${pair#*:}" >/dev/null
    }
done

# 1. The base system, once.
if [ ! -e "$work/base.tar" ]; then
    mmdebstrap --variant=important --quiet \
        --include=linux-image-cloud-amd64,systemd-sysv,iproute2,nftables,busybox-static,util-linux,procps,ca-certificates \
        "$suite" "$work/base.tar.part"
    mv "$work/base.tar.part" "$work/base.tar"
fi

# 2. Test programs, built here.
cargo test --locked --workspace --no-run --message-format=json 2>"$work/build.log" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sort -u >"$work/programs"
[ -s "$work/programs" ] || { cat "$work/build.log" >&2; exit 1; }

# 3. The disk: base, this tree's sources and programs at the same path, one unit that runs the tests.
root=$work/root
rm -rf "$root"
mkdir -p "$root"
tar -C "$root" --numeric-owner -xf "$work/base.tar"
mkdir -p "$root$repo/target/release" "$root$repo/target/images" "$root/usr/local/bin"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -C "$root$repo" -xf -
for name in bulkhead bulkhead-apid bulkhead-shim bulkhead-worker bulkhead-init bulkhead-hello; do
    install -m 755 "target/release/$name" "$root$repo/target/release/"
done
cp -a target/images/*.tar "$root$repo/target/images/" 2>/dev/null || true
docker=$(command -v docker || true)
[ -z "$docker" ] || install -m 755 "$docker" "$root/usr/local/bin/docker"
: >"$work/list"
while read -r program; do
    case $program in
        */layering-* | */tidy-*) continue ;; # rules of the source tree: checked where cargo is
    esac
    mkdir -p "$root$(dirname "$program")"
    cp "$program" "$root$program"
    echo "$program" >>"$work/list"
done <"$work/programs"
cp "$work/list" "$root/tests.list"
echo "$filter" >"$root/tests.filter"
cat >"$root/usr/local/sbin/run-tests" <<'GUEST'
#!/bin/sh
# In the guest: every test program, then the sum, on the console.
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin RUST_BACKTRACE=1
export BULKHEAD_SKIPS=/skips
: >/skips
uname -a
stat -fc 'cgroup file system: %T' /sys/fs/cgroup
ip link set lo up
getent passwd bulkhead >/dev/null || useradd --system --user-group --no-create-home --shell /usr/sbin/nologin bulkhead
: >/log
while read -r program; do
    cd "$(cat /tests.repo)"
    echo "--- $program"
    CARGO_MANIFEST_DIR=$PWD "$program" $(cat /tests.filter) 2>&1 | tee -a /log
done </tests.list
count() { awk -v word="$1" '/^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" word) total += $(i - 1) } END { print total + 0 }' /log; }
skipped=$(sort -u /skips | grep -c .)
sort -u /skips | sed 's/^/skipped: /'
echo "GUEST RESULT: $(($(count passed) - skipped)) passed, $(count failed) failed, $((skipped + $(count ignored))) skipped"
systemctl poweroff --no-block
GUEST
chmod 755 "$root/usr/local/sbin/run-tests"
echo "$repo" >"$root/tests.repo"
cat >"$root/etc/systemd/system/run-tests.service" <<'UNIT'
[Unit]
Description=The test suite
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/run-tests
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
Delegate=yes
TasksMax=infinity
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../run-tests.service "$root/etc/systemd/system/multi-user.target.wants/run-tests.service"
echo guest >"$root/etc/hostname"
kernel=$(ls "$root"/boot/vmlinuz-* | tail -n 1)
initrd=$(ls "$root"/boot/initrd.img-* | tail -n 1)
cp "$kernel" "$work/vmlinuz"
cp "$initrd" "$work/initrd"
rm -f "$work/disk"
mke2fs -q -t ext4 -d "$root" "$work/disk" 8G
rm -rf "$root"

# 4. Boot, and read the console.
accel=tcg,thread=multi
[ -w /dev/kvm ] && accel=kvm
timeout "${VM_TIMEOUT:-4800}" qemu-system-x86_64 -accel "$accel" -cpu max -smp 2 -m 4096 -nographic -no-reboot \
    -kernel "$work/vmlinuz" -initrd "$work/initrd" \
    -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 systemd.unified_cgroup_hierarchy=1" \
    -drive "file=$work/disk,if=virtio,format=raw,cache=unsafe" -nic none </dev/null 2>&1 | tee "$work/console.log"
result=$(sed -n 's/.*GUEST RESULT: \([0-9]* passed, [0-9]* failed, [0-9]* skipped\).*/\1/p' "$work/console.log" | tail -n 1)
[ -n "$result" ] || { echo "the guest gave no result" >&2; exit 1; }
echo "$result"
case $result in *" 0 failed,"*) ;; *) exit 1 ;; esac
