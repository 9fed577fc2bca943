//! D10: small archives that want much.

use std::io::Write;

use crate::program::{Run, run, unpack, unpack_at_most};
use crate::tarball::{Header, Tarball, block, gzip};

/// A stream whose middle is this many zeros, compressed as it is made.
fn zeros(bytes: u64, compressed: bool) -> Run {
    run(&["unpack", &u64::MAX.to_string()], &[], |stdin| {
        let header = Header::new(b"zeros", b'0').size(bytes).sealed();
        let mut sink: Box<dyn Write> = if compressed {
            Box::new(flate2::write::GzEncoder::new(stdin, flate2::Compression::default()))
        } else {
            Box::new(stdin)
        };
        let chunk = vec![0; 1 << 20];
        sink.write_all(&header).unwrap();
        for _ in 0..bytes >> 20 {
            if sink.write_all(&chunk).is_err() {
                return;
            }
        }
        sink.write_all(&[0; 1024]).unwrap_or_default();
    })
}

#[test]
fn d10_a_stream_that_grows_too_much_is_stopped() {
    zeros(512 << 20, true).refused("expands to more than 200 times");
    // Zeros alone are no crime.
    assert_eq!(zeros(48 << 20, true).unpacked().bytes, 48 << 20);
    assert_eq!(zeros(80 << 20, false).unpacked().bytes, 80 << 20);
}

#[test]
fn d10_contents_end_at_the_limit_before_they_are_written() {
    let archive = Tarball::new().file("a", &"x".repeat(600)).file("b", &"x".repeat(500)).bytes();
    assert_eq!(unpack_at_most(&archive, 1100).unpacked().bytes, 1100);
    unpack_at_most(&archive, 1099).refused("bytes of contents: more than 1099");
    let liar = Header::new(b"x", b'0').put(124, b"77777777777\0").sealed();
    unpack_at_most(&Tarball::new().raw(&liar).bytes(), 1 << 20).refused("more than 1048576");
}

#[test]
fn d10_a_large_extended_header_is_refused() {
    for typeflag in *b"xgLK" {
        let mut header = Header::new(b"x", typeflag);
        let header = header.put(257, b"ustar  \0").size(7 << 30).sealed();
        unpack(&Tarball::new().raw(&header).bytes()).refused("more than 1048576");
    }
}

#[test]
fn d10_padding_without_end_is_refused() {
    let archive = [Tarball::new().bytes(), vec![0; 17 << 20]].concat();
    unpack(&archive).refused("bytes of padding");
    unpack(&[Tarball::new().bytes(), vec![0; 9 << 10]].concat()).unpacked();
}

#[test]
fn d10_a_zstd_window_larger_than_128_mib_is_refused() {
    // Magic, descriptor without content size, window exponent 31 - 10.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    unpack(&frame).refused("read");
}

#[test]
fn d10_an_archive_in_an_archive_is_a_file() {
    let inner = gzip(&Tarball::new().file("x", "1").bytes());
    let run = unpack(&gzip(&Tarball::new().raw(&block(b"inner.tar.gz", b'0', &inner)).bytes()));
    assert_eq!(run.unpacked().entries, 1);
    // Compressed twice is not an archive.
    unpack(&gzip(&inner)).refused("");
}

#[test]
fn d10_memory_stays_small_whatever_comes() {
    // 200,000 empty entries; the worker's memory is limited, so a leak would end it.
    let one = Tarball::new().directory("d").unfinished();
    let archive = [one.repeat(200_000), vec![0; 1024]].concat();
    let run = unpack(&archive);
    assert_eq!(run.unpacked().entries, 200_000);
}
