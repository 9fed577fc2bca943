//! Makes archives: good ones with the project's writer, others byte by byte.

use std::io::Write;

use bulkhead_archive::{Entry, Kind, TarWriter, Time, Xattr};

/// An archive in the making.
#[derive(Default, Clone)]
pub(crate) struct Tarball(Vec<u8>);

pub(crate) fn entry(kind: Kind, path: &str) -> Entry {
    Entry {
        path: path.as_bytes().to_vec(),
        link: Vec::new(),
        kind,
        mode: if kind == Kind::Directory { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Time { seconds: 1_000_000_000, nanoseconds: 0 },
        major: 0,
        minor: 0,
        xattrs: Vec::new(),
    }
}

impl Tarball {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn entry(self, entry: &Entry) -> Self {
        self.with_contents(entry, b"")
    }

    pub(crate) fn with_contents(mut self, entry: &Entry, contents: &[u8]) -> Self {
        let mut writer = TarWriter::new(&mut self.0);
        writer.append(entry, contents).unwrap();
        self
    }

    pub(crate) fn file(self, path: &str, contents: &str) -> Self {
        self.with_contents(&entry(Kind::Regular, path), contents.as_bytes())
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(&entry(Kind::Directory, path))
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(&Entry { link: target.into(), ..entry(Kind::Symlink, path) })
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(&Entry { link: target.into(), ..entry(Kind::HardLink, path) })
    }

    pub(crate) fn xattr(self, path: &str, name: &str, value: &[u8]) -> Self {
        let xattrs = vec![Xattr { name: name.into(), value: value.to_vec() }];
        self.entry(&Entry { xattrs, ..entry(Kind::Regular, path) })
    }

    /// Any bytes.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The bytes, without an end marker.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
    }
}

/// A plain ustar header whose fields a test then overwrites.
pub(crate) struct Header(pub(crate) [u8; 512]);

impl Header {
    pub(crate) fn new(path: &[u8], typeflag: u8) -> Self {
        let mut header = Self([0; 512]);
        header.put(0, path);
        header.put(100, b"0000644\0");
        header.put(108, b"0000000\0");
        header.put(116, b"0000000\0");
        header.put(124, b"00000000000\0");
        header.put(136, b"00000000000\0");
        header.put(156, &[typeflag]);
        header.put(257, b"ustar\x0000");
        header
    }

    pub(crate) fn put(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn size(&mut self, size: u64) -> &mut Self {
        self.put(124, format!("{size:011o}\0").as_bytes())
    }

    pub(crate) fn sealed(&mut self) -> [u8; 512] {
        self.put(148, b"        ");
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// An entry of any type with contents, padded.
pub(crate) fn block(path: &[u8], typeflag: u8, contents: &[u8]) -> Vec<u8> {
    let mut bytes = Header::new(path, typeflag).size(contents.len() as u64).sealed().to_vec();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A PAX header with these records, as they stand.
pub(crate) fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let without = key.len() + value.len() + 3;
        let length =
            (without + 1..).find(|length| without + length.to_string().len() == *length).unwrap();
        writeln!(bytes, "{length} {key}={value}").unwrap();
    }
    block(b"PaxHeaders/x", b'x', &bytes)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
