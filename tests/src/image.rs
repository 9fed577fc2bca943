//! Root file systems for tests, made from Debian packages; no image host is asked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A tar archive with Debian's static busybox and its links; none: it is not installed.
pub fn busybox() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| cached("busybox.tar", make_busybox)).as_deref()
}

/// A tar archive with a minimal Debian of mmdebstrap's; none: mmdebstrap or the archive is not there.
pub fn debian() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| cached("debian.tar", make_debian)).as_deref()
}

/// Make a file once for all test programs of a run; whoever comes second waits.
fn cached(name: &str, make: fn(&Path) -> bool) -> Option<PathBuf> {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/images"));
    std::fs::create_dir_all(directory).ok()?;
    let lock = std::fs::File::create(directory.join(format!("{name}.lock"))).ok()?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).ok()?;
    let path = directory.join(name);
    if !path.exists() {
        let draft = directory.join(format!("{name}.part"));
        if !make(&draft) {
            return None;
        }
        std::fs::rename(draft, &path).ok()?;
    }
    Some(path)
}

fn make_busybox(tar: &Path) -> bool {
    let Ok(directory) = tempfile::tempdir() else { return false };
    let script = r#"
        set -e
        cd "$1"
        mkdir -p bin dev etc home proc root run sys tmp usr/bin usr/sbin var/tmp
        chmod 1777 tmp var/tmp
        cp "$(command -v busybox)" bin/busybox
        for applet in $(./bin/busybox --list); do [ -e "bin/$applet" ] || ln -s busybox "bin/$applet"; done
        echo 'root:x:0:0:root:/root:/bin/sh' > etc/passwd
        echo 'user:x:1000:1000:user:/home:/bin/sh' >> etc/passwd
        printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' > etc/group
        tar --numeric-owner --owner=0 --group=0 -cf "$2" .
    "#;
    run("sh", &["-c", script, "sh"], &[directory.path(), tar])
}

fn make_debian(tar: &Path) -> bool {
    let Some(tar) = tar.to_str() else { return false };
    let args = ["--variant=apt", "--mode=root", "--format=tar", "--quiet", "bookworm", tar];
    run("mmdebstrap", &args, &[])
}

fn run(program: &str, args: &[&str], paths: &[&Path]) -> bool {
    let output = Command::new(program).args(args).args(paths).output();
    match output {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("{program}: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            eprintln!("{program}: {error}");
            false
        }
    }
}

/// An OCI layout of the busybox file system in `directory`; none: busybox is not installed.
pub fn oci_layout(directory: &Path) -> Option<PathBuf> {
    let script = r#"
        set -e
        mkdir -p "$2/oci/blobs/sha256" && cd "$2/oci"
        put() { sum=$(sha256sum "$1" | cut -d' ' -f1); size=$(stat -c %s "$1"); mv "$1" "blobs/sha256/$sum"; }
        diff=$(sha256sum "$1" | cut -d' ' -f1)
        gzip -nc "$1" > layer; put layer; layer=$sum; layer_size=$size
        printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$diff" > config
        put config; config=$sum; config_size=$size
        printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%s}]}' "$config" "$config_size" "$layer" "$layer_size" > manifest
        put manifest
        printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s}]}' "$sum" "$size" > index.json
        printf '{"imageLayoutVersion":"1.0.0"}' > oci-layout
    "#;
    let tar = busybox()?;
    run("sh", &["-c", script, "sh"], &[tar, directory]).then(|| directory.join("oci"))
}
