//! The busybox file system unpacked, with an OCI runtime's default configuration that runs `true`.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An OCI bundle.
pub struct Bundle {
    directory: PathBuf,
}

impl Bundle {
    /// Where `config.json` is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }
}

/// Make one. Without a runtime on the host it has no `config.json`, and nobody to read it.
pub fn unpack(tar: &Path, directory: &Path) -> Bundle {
    let bundle = Bundle { directory: directory.to_owned() };
    std::fs::create_dir_all(bundle.rootfs()).expect("bundle");
    let unpacked = Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(bundle.rootfs()).status();
    assert!(unpacked.is_ok_and(|status| status.success()), "tar");
    let runtime = ["crun", "runc"].into_iter().find(|name| bulkhead_tests::has_program(name));
    if let Some(runtime) = runtime {
        let made = Command::new(runtime).arg("spec").current_dir(directory).status();
        assert!(made.is_ok_and(|status| status.success()), "{runtime} spec");
        let path = directory.join("config.json");
        let text = std::fs::read_to_string(&path).expect("config.json");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["true"]);
        config["root"]["readonly"] = json!(false);
        std::fs::write(path, config.to_string()).expect("config.json");
    }
    bundle
}
