//! D5: what we accept, another reader reads in the same way. Thousands of archives, whole ones
//! with some bytes changed, are read by us and by Python's `tarfile`: either we refuse an archive,
//! or both find the same entries with the same contents.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::print_stdout,
    reason = "a test that meets something odd fails"
)]

use std::fs;
use std::io::Read;
use std::process::Command;

use bulkhead_archive::{Entry, Kind, Limits, TarReader, TarWriter, Time, Xattr};

const ARCHIVES: usize = 2000;

/// One line an archive: entries as `name|link|type|mode|uid|gid|mtime|size|sum of contents`.
const PYTHON: &str = r#"
import sys, tarfile
def raw(text): return text.encode('utf-8', 'surrogateescape').rstrip(b'/').hex()
kinds = {b'0': 'file', b'\0': 'file', b'7': 'file', b'1': 'hard', b'2': 'soft', b'3': 'char',
         b'4': 'block', b'5': 'directory', b'6': 'fifo'}
for path in sys.argv[1:]:
    try:
        entries = []
        with tarfile.open(path, 'r:', encoding='utf-8', errors='surrogateescape') as tar:
            for e in tar:
                data = tar.extractfile(e).read() if e.isreg() else b''
                link = raw(e.linkname) if e.type in (b'1', b'2') else ''
                entries.append('|'.join(map(str, (raw(e.name), link, kinds.get(e.type, e.type),
                    e.mode & 0o7777, e.uid, e.gid, e.mtime // 1, len(data), sum(data)))))
        print(' '.join(entries))
    except Exception as error:
        print('refused', repr(error).replace('\n', ' '))
"#;

/// xorshift64*: the same archives on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % most
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

#[test]
fn d5_what_is_accepted_is_read_alike_by_python() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut accepted = 0;
    for batch in 0..10 {
        let archives: Vec<Vec<u8>> = (0..ARCHIVES / 10).map(|_| mutated(&mut random)).collect();
        let paths: Vec<_> =
            (0..archives.len()).map(|number| directory.path().join(number.to_string())).collect();
        for (path, archive) in paths.iter().zip(&archives) {
            fs::write(path, archive).unwrap();
        }
        let output = Command::new("python3").args(["-c", PYTHON]).args(&paths).output().unwrap();
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(theirs.lines().count(), archives.len());
        for (number, (archive, theirs)) in archives.iter().zip(theirs.lines()).enumerate() {
            let Ok(ours) = read(archive) else { continue };
            accepted += 1;
            assert_eq!(ours, theirs, "archive {number} of batch {batch}");
        }
    }
    println!("{accepted} of {ARCHIVES} accepted");
    assert!(accepted > ARCHIVES / 10, "the comparison means something");
    assert!(accepted < ARCHIVES, "something was refused");
}

fn read(archive: &[u8]) -> Result<String, bulkhead_archive::Error> {
    let mut tar = TarReader::new(archive, Limits { entries: 1000, bytes: 1 << 20 });
    let mut entries = Vec::new();
    while let Some(entry) = tar.next_entry()? {
        let mut data = Vec::new();
        tar.read_to_end(&mut data)?;
        let sum: u64 = data.iter().map(|byte| u64::from(*byte)).sum();
        let kind = match entry.kind {
            Kind::Regular => "file",
            Kind::HardLink => "hard",
            Kind::Symlink => "soft",
            Kind::CharDevice => "char",
            Kind::BlockDevice => "block",
            Kind::Directory => "directory",
            Kind::Fifo => "fifo",
        };
        let raw = |name: &[u8]| -> String {
            let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
            name[..end].iter().map(|byte| format!("{byte:02x}")).collect()
        };
        entries.push(format!(
            "{}|{}|{kind}|{}|{}|{}|{}|{}|{sum}",
            raw(&entry.path),
            raw(&entry.link),
            entry.mode,
            entry.uid,
            entry.gid,
            // Python has times as floating-point numbers where a PAX header has fractions.
            seconds(entry.mtime),
            data.len(),
        ));
    }
    Ok(entries.join(" "))
}

fn seconds(time: Time) -> String {
    if time.nanoseconds == 0 { time.seconds.to_string() } else { format!("{}.0", time.seconds) }
}

/// A whole archive, some of whose header bytes are then changed, checksums made right again.
fn mutated(random: &mut Random) -> Vec<u8> {
    let mut archive = whole(random);
    let headers = header_offsets(&archive);
    for _ in 0..random.below(3) {
        let header = headers[random.below(headers.len())];
        change(&mut archive[header..header + 512], random);
    }
    if random.below(10) == 0 {
        let at = random.below(archive.len());
        archive[at] = random.below(256) as u8;
    }
    if random.below(20) == 0 {
        archive.truncate(1 + random.below(archive.len()));
    }
    archive
}

fn whole(random: &mut Random) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let long = "long/".repeat(30);
    for _ in 0..1 + random.below(4) {
        let kind = [
            Kind::Regular,
            Kind::Regular,
            Kind::Directory,
            Kind::Symlink,
            Kind::HardLink,
            Kind::Fifo,
            Kind::CharDevice,
        ][random.below(7)];
        let link = kind.is_link().then(|| random.pick(&["a", "../x", "/b", long.as_str()]));
        let mut xattrs = Vec::new();
        if random.below(4) == 0 {
            xattrs.push(Xattr { name: b"user.x".to_vec(), value: b"1".to_vec() });
        }
        let entry = Entry {
            path: random.pick(&["a", "b/c", "d/", "./e", "/f", long.as_str()]).into(),
            link: link.unwrap_or_default().into(),
            kind,
            mode: random.below(0o10000) as u32,
            uid: random.below(1 << 24) as u64,
            gid: random.below(70_000) as u64,
            size: 0,
            mtime: Time { seconds: random.below(1 << 30) as i64, nanoseconds: 0 },
            major: 0,
            minor: random.below(4) as u64,
            xattrs,
        };
        let contents = vec![b'x'; random.below(1500)];
        let contents = if kind == Kind::Regular { &contents[..] } else { &[] };
        tar.append(&entry, contents).unwrap();
    }
    tar.finish().unwrap()
}

fn header_offsets(archive: &[u8]) -> Vec<usize> {
    let blocks = (0..archive.len() / 512).map(|block| block * 512);
    blocks.filter(|at| archive[at + 257..].starts_with(b"ustar")).collect()
}

fn change(header: &mut [u8], random: &mut Random) {
    let sizes: [&[u8]; 8] = [
        b"00000000000\0",
        b"00000001000\0",
        b"        100\0",
        b"00000002000 ",
        b"\x80\0\0\0\0\0\0\0\0\0\x02\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"77777777777\0",
        b"1000\0\0\0\x001234",
    ];
    let names: [&[u8]; 6] = [b"x\0y", b"dir/\0", b"\0", b"\xff\0", b"../up\0", b"a\nb\0"];
    match random.below(8) {
        0 => header[156] = b"\x0001234567xgLKSDVAZ"[random.below(18)],
        1 => put(header, 124, random.pick(&sizes)),
        2 => put(header, 0, random.pick(&names)),
        3 => put(header, 157, random.pick(&names)),
        4 => put(header, 345, random.pick(&[&b"pre\0"[..], b"pre/fix", b"\0\0\0"])),
        5 => {
            put(header, 257, random.pick(&[&b"ustar  \0"[..], b"ustar\x0000", b"\0\0\0\0\0\0\0\0"]))
        }
        6 => put(
            header,
            100,
            random.pick(&[
                &b"0000644\0"[..],
                b"644 \0\0\0\0",
                b"0100644\0",
                b"\x80\0\0\0\0\0\x01\xa4",
            ]),
        ),
        _ => {
            let at = random.below(512);
            header[at] = random.below(256) as u8;
        }
    }
    put(header, 148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(header, 148, format!("{sum:06o}\0 ").as_bytes());
}

fn put(header: &mut [u8], offset: usize, bytes: &[u8]) {
    header[offset..offset + bytes.len()].copy_from_slice(bytes);
}
