//! `--mount`, `-v`, `--tmpfs`.

use std::path::Path;

use serde_json::{Value, json};

use super::{Fields, comma_separated};
use crate::flags::{Args, check};

/// Put mounts into the body. Sources that begin with `.` are below the current directory.
pub(super) fn fill(args: &Args, host: &mut Fields, body: &mut Fields) -> Result<(), String> {
    let mounts = args.all("mount").map(mount).collect::<Result<Vec<_>, _>>()?;
    if !mounts.is_empty() {
        host.insert("Mounts".to_owned(), mounts.into());
    }
    let mut binds = Vec::new();
    let mut volumes = Fields::new();
    for spec in args.all("volume") {
        match spec.split_once(':') {
            None if spec.is_empty() => return Err("invalid empty volume spec".to_owned()),
            None => {
                volumes.insert(spec.to_owned(), json!({}));
            }
            Some((source, rest)) => binds.push(format!("{}:{rest}", absolute(source))),
        }
    }
    if !binds.is_empty() {
        host.insert("Binds".to_owned(), binds.into());
    }
    if !volumes.is_empty() {
        body.insert("Volumes".to_owned(), Value::Object(volumes));
    }
    let tmpfs: Fields = args
        .all("tmpfs")
        .map(|spec| {
            let (path, options) = spec.split_once(':').unwrap_or((spec, ""));
            (path.to_owned(), options.into())
        })
        .collect();
    if !tmpfs.is_empty() {
        host.insert("Tmpfs".to_owned(), Value::Object(tmpfs));
    }
    Ok(())
}

fn absolute(source: &str) -> String {
    if !source.starts_with('.') {
        return source.to_owned();
    }
    // As Go's filepath.Abs: `.` and `..` are taken away in the text, not in the file system.
    let Ok(here) = std::env::current_dir() else { return source.to_owned() };
    let mut path = here;
    for part in Path::new(source).components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::Normal(name) => path.push(name),
            std::path::Component::CurDir
            | std::path::Component::RootDir
            | std::path::Component::Prefix(_) => {}
        }
    }
    path.to_string_lossy().into_owned()
}

/// `type=bind,source=/a,target=/b,...` as the API's mount.
pub(crate) fn mount(text: &str) -> Result<Value, String> {
    let mut mount = Options { kind: "volume".to_owned(), ..Options::default() };
    for field in comma_separated(text)? {
        match field.split_once('=') {
            Some((key, value)) => mount.set(key, value, &field)?,
            None if FLAGS.contains(&field.as_str()) => mount.set(&field, "true", &field)?,
            None => return Err(format!("invalid field '{field}' must be a key=value pair")),
        }
    }
    mount.finish()
}

/// The keys that may stand without a value.
const FLAGS: [&str; 4] = ["readonly", "ro", "volume-nocopy", "bind-nonrecursive"];

#[derive(Default)]
struct Options {
    kind: String,
    mount: Fields,
    bind: Fields,
    volume: Fields,
    driver: Fields,
    labels: Fields,
    tmpfs: Fields,
    image: Fields,
    has_target: bool,
}

impl Options {
    fn set(&mut self, key: &str, value: &str, field: &str) -> Result<(), String> {
        let invalid = || format!("invalid value for {key}: {value}");
        let truth = || check::parse_bool(value).ok_or_else(invalid);
        let (fields, name, json): (&mut Fields, &str, Value) = match key {
            "type" => {
                self.kind = value.to_ascii_lowercase();
                return Ok(());
            }
            "source" | "src" => (&mut self.mount, "Source", absolute_source(value).into()),
            "target" | "dst" | "destination" => {
                self.has_target = !value.is_empty();
                (&mut self.mount, "Target", value.into())
            }
            "readonly" | "ro" => (&mut self.mount, "ReadOnly", truth()?.into()),
            "consistency" => (&mut self.mount, "Consistency", value.to_ascii_lowercase().into()),
            "bind-propagation" => {
                (&mut self.bind, "Propagation", value.to_ascii_lowercase().into())
            }
            "bind-nonrecursive" => (&mut self.bind, "NonRecursive", truth()?.into()),
            "bind-recursive" => return self.recursion(value),
            "bind-create-src" => (&mut self.bind, "CreateMountpoint", truth()?.into()),
            "volume-subpath" => (&mut self.volume, "Subpath", value.into()),
            "image-subpath" => (&mut self.image, "Subpath", value.into()),
            "volume-nocopy" => (&mut self.volume, "NoCopy", truth()?.into()),
            "volume-driver" => (&mut self.driver, "Name", value.into()),
            "volume-label" | "volume-opt" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                let target = if key == "volume-opt" {
                    self.driver.entry("Options").or_insert_with(|| json!({})).as_object_mut()
                } else {
                    Some(&mut self.labels)
                };
                if let Some(target) = target.filter(|_| !name.is_empty()) {
                    target.insert(name.to_owned(), value.into());
                }
                return Ok(());
            }
            "tmpfs-size" => {
                let bytes = check::parse_size(value).map_err(|_bad| invalid())?;
                (&mut self.tmpfs, "SizeBytes", bytes.into())
            }
            "tmpfs-mode" => {
                let mode = u32::from_str_radix(value, 8).map_err(|_bad| invalid())?;
                (&mut self.tmpfs, "Mode", mode.into())
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        };
        fields.insert(name.to_owned(), json);
        Ok(())
    }

    fn recursion(&mut self, value: &str) -> Result<(), String> {
        let key = match value {
            "enabled" => return Ok(()),
            "disabled" => "NonRecursive",
            "writable" => "ReadOnlyNonRecursive",
            "readonly" => "ReadOnlyForceRecursive",
            _ => return Err(format!("invalid value for bind-recursive: {value}")),
        };
        self.bind.insert(key.to_owned(), true.into());
        Ok(())
    }

    fn finish(mut self) -> Result<Value, String> {
        if self.kind.is_empty() {
            return Err("type is required".to_owned());
        }
        if !self.has_target {
            return Err("target is required".to_owned());
        }
        if !self.labels.is_empty() {
            self.volume.insert("Labels".to_owned(), Value::Object(self.labels));
        }
        if !self.driver.is_empty() {
            self.volume.insert("DriverConfig".to_owned(), Value::Object(self.driver));
        }
        for (kind, key, fields) in [
            ("volume", "VolumeOptions", self.volume),
            ("bind", "BindOptions", self.bind),
            ("tmpfs", "TmpfsOptions", self.tmpfs),
            ("image", "ImageOptions", self.image),
        ] {
            if fields.is_empty() {
                continue;
            }
            if self.kind != kind {
                return Err(format!(
                    "cannot mix '{kind}-*' options with mount type '{}'",
                    self.kind
                ));
            }
            self.mount.insert(key.to_owned(), Value::Object(fields));
        }
        self.mount.insert("Type".to_owned(), self.kind.into());
        Ok(Value::Object(self.mount))
    }
}

fn absolute_source(source: &str) -> String {
    if source == "." || source.starts_with("./") { absolute(source) } else { source.to_owned() }
}
