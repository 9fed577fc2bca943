//! Real pipes and ptys in place of a container. The exactly-once test kills real processes: this
//! test binary, started again with [`CHILD`] in its environment.

use super::super::file::{Limits, Shelf};
use super::super::line::Line;
use super::super::{LogReader, LogTarget};
use super::*;
use crate::options::LogsOptions;
use std::io::{PipeReader, PipeWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The directory of the log, for a child process.
const CHILD: &str = "BULKHEAD_TEST_COPIER_DIR";

fn target(dir: &Path, max_bytes: Option<u64>, max_files: u32) -> LogTarget {
    let limits = Limits { max_bytes, max_files };
    LogTarget {
        dir: dir.to_owned(),
        shelf: Arc::new(Shelf::new(dir.join("c-json.log"), limits)),
        attributes: "".into(),
    }
}

fn pipes() -> (Sources, PipeWriter, PipeWriter) {
    let (out, out_writer) = std::io::pipe().unwrap();
    let (err, err_writer) = std::io::pipe().unwrap();
    (Sources::Pipes(out.into(), err.into()), out_writer, err_writer)
}

fn start(sources: Sources, hub: &Arc<Hub>, log: Option<&LogTarget>) -> Copier {
    let runtime = tokio::runtime::Handle::current();
    let log = log.map(|target| (target.clone(), Begin::Fresh));
    Copier::start(&runtime, sources, Arc::clone(hub), log).unwrap()
}

/// Everything in the log, by stream.
async fn logged(target: &LogTarget) -> [Vec<u8>; 2] {
    let options = LogsOptions { stdout: true, stderr: true, ..LogsOptions::default() };
    let mut reader = LogReader::open(Arc::clone(&target.shelf), options).unwrap();
    let mut text = [Vec::new(), Vec::new()];
    while let Some((kind, piece)) = reader.next().await {
        text[if kind == StreamKind::Stdout { 0 } else { 1 }].extend_from_slice(&piece);
    }
    text
}

#[tokio::test]
async fn all_output_is_in_the_log_and_with_the_attached_and_no_file_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path(), None, 1);
    let hub = Arc::new(Hub::default());
    let mut attached = hub.subscribe(true, true);
    let (sources, mut out, mut err) = pipes();
    out.write_all(b"before start\n").unwrap();
    let copier = start(sources, &hub, Some(&target));
    out.write_all(b"after\nno end").unwrap();
    err.write_all(b"error\n").unwrap();
    drop((out, err));
    copier.finish().await;
    hub.end();

    let mut seen = [Vec::new(), Vec::new()];
    while let Some((kind, piece)) = attached.next().await {
        seen[if kind == StreamKind::Stdout { 0 } else { 1 }].extend_from_slice(&piece);
    }
    let wanted = [b"before start\nafter\nno end".to_vec(), b"error\n".to_vec()];
    assert_eq!(seen, wanted);
    assert_eq!(logged(&target).await, wanted);
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "the log only: {files:?}");
}

#[tokio::test]
async fn a_process_without_output_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path(), None, 1);
    let (sources, out, err) = pipes();
    let copier = start(sources, &Arc::default(), Some(&target));
    drop((out, err));
    copier.finish().await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn whoever_else_holds_the_pipe_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path(), None, 1);
    let (sources, mut out, err) = pipes();
    let copier = start(sources, &Arc::default(), Some(&target));
    out.write_all(b"last words\n").unwrap();
    copier.finish().await;
    assert_eq!(logged(&target).await[0], b"last words\n");
    drop((out, err));
}

#[tokio::test]
async fn without_a_log_the_attached_still_see_everything() {
    let hub = Arc::new(Hub::default());
    let mut attached = hub.subscribe(true, false);
    let (sources, mut out, err) = pipes();
    let copier = start(sources, &hub, None);
    out.write_all(b"hello").unwrap();
    drop((out, err));
    copier.finish().await;
    hub.end();
    assert_eq!(attached.next().await.unwrap().1, &b"hello"[..]);
    assert_eq!(attached.next().await, None);
}

#[tokio::test]
async fn a_terminals_last_words_are_heard() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path(), None, 1);
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let mut slave = std::fs::File::options().write(true).open(name).unwrap();
    let copier = start(Sources::Terminal(master), &Arc::default(), Some(&target));
    for number in 0..100 {
        writeln!(slave, "line {number}").unwrap();
    }
    drop(slave);
    copier.finish().await;
    let text = String::from_utf8(logged(&target).await[0].clone()).unwrap();
    assert!(text.starts_with("line 0\r\n") && text.ends_with("line 99\r\n"), "{text}");
}

#[tokio::test]
async fn a_follower_sees_every_line_across_rotations_and_then_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path(), Some(300), 1000);
    let hub = Arc::new(Hub::default());
    let (sources, mut out, err) = pipes();
    let copier = start(sources, &hub, Some(&target));
    let options =
        LogsOptions { stdout: true, stderr: true, follow: true, ..LogsOptions::default() };
    let mut follower = LogReader::open(Arc::clone(&target.shelf), options).unwrap();
    let reader = tokio::spawn(async move {
        let mut text = Vec::new();
        while let Some((_, piece)) = follower.next().await {
            text.extend_from_slice(&piece);
        }
        String::from_utf8(text).unwrap()
    });
    for number in 0..200 {
        writeln!(out, "line {number}").unwrap();
        tokio::task::yield_now().await;
    }
    drop((out, err));
    copier.finish().await;
    target.shelf.end();
    let text = tokio::time::timeout(Duration::from_secs(20), reader).await.unwrap().unwrap();
    let wanted: String = (0..200).map(|number| format!("line {number}\n")).collect();
    assert_eq!(text, wanted);
    assert!(dir.path().join("c-json.log.5").exists(), "it did rotate");
}

#[tokio::test]
async fn tail_since_until_and_timestamps_choose_and_show_lines() {
    let dir = tempfile::tempdir().unwrap();
    let target = target(dir.path(), None, 3);
    let line = |second: u32, text: &str, stream: &str| {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"2024-01-01T00:00:0{second}.5Z\"}}\n"
        )
    };
    let old = line(1, "a", "stdout") + &line(2, "b", "stderr");
    std::fs::write(dir.path().join("c-json.log.1"), old).unwrap();
    let new = line(3, "c", "stdout") + "not ours\n" + &line(4, "d", "stdout");
    std::fs::write(dir.path().join("c-json.log"), new).unwrap();
    let shelf = Arc::new(Shelf::new(
        target.shelf.path().to_owned(),
        Limits { max_bytes: None, max_files: 3 },
    ));

    let both = LogsOptions { stdout: true, stderr: true, ..LogsOptions::default() };
    let second = |second: i64| Some(1_704_067_200_500_000_000 + second * 1_000_000_000);
    for (options, wanted) in [
        (both, "a\nb\nc\nd\n"),
        (LogsOptions { stderr: false, ..both }, "a\nc\nd\n"),
        (LogsOptions { tail: Some(0), ..both }, ""),
        (LogsOptions { tail: Some(1), ..both }, "d\n"),
        (LogsOptions { tail: Some(4), ..both }, "b\nc\nd\n"),
        (LogsOptions { tail: Some(100), ..both }, "a\nb\nc\nd\n"),
        (LogsOptions { since: second(3), ..both }, "c\nd\n"),
        (LogsOptions { until: second(2), ..both }, "a\nb\n"),
        (
            LogsOptions { tail: Some(1), timestamps: true, ..both },
            "2024-01-01T00:00:04.500000000Z d\n",
        ),
    ] {
        let mut reader = LogReader::open(Arc::clone(&shelf), options).unwrap();
        let mut text = Vec::new();
        while let Some((_, piece)) = reader.next().await {
            text.extend_from_slice(&piece);
        }
        assert_eq!(String::from_utf8(text).unwrap(), wanted, "{options:?}");
    }
}

/// Started by the test below, and killed by it.
#[tokio::test]
#[ignore = "the child process of another test"]
async fn child_that_copies_its_stdin_and_stderr() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let own = |fd| rustix::io::fcntl_dupfd_cloexec(fd, 3).unwrap();
    let sources = Sources::Pipes(own(rustix::stdio::stdin()), own(rustix::stdio::stderr()));
    let runtime = tokio::runtime::Handle::current();
    let log = Some((target(Path::new(&dir), Some(100_000), 10_000), Begin::Resume));
    let mut copier = Copier::start(&runtime, sources, Arc::default(), log).unwrap();
    // Until both pipes have ended.
    (&mut copier.task).await.unwrap();
}

fn spawn_child(dir: &Path, out: &PipeReader, err: &PipeReader) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "logs::copier::tests::child_that_copies_its_stdin_and_stderr",
        ])
        .env(CHILD, dir)
        .stdin(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn write_lines(mut pipe: PipeWriter, count: u32) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        for number in 0..count {
            let width = usize::try_from(number * 7919 % 300).unwrap();
            writeln!(text, "{number:08} {:width$}", "").unwrap();
            // Writes that end in the middle of lines.
            let cut = text.len() - text.len() % 61;
            pipe.write_all(&text[..cut]).unwrap();
            text.drain(..cut);
        }
        pipe.write_all(&text).unwrap();
    })
}

#[test]
fn every_line_is_logged_once_however_often_the_copier_is_killed() {
    const LINES: u32 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let (out, out_writer) = std::io::pipe().unwrap();
    let (err, err_writer) = std::io::pipe().unwrap();
    let writers = [write_lines(out_writer, LINES), write_lines(err_writer, LINES)];
    let mut kills = 0;
    let mut random = 0x2545_f491_u64;
    loop {
        let mut child = spawn_child(dir.path(), &out, &err);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let deadline = Instant::now() + Duration::from_micros(3_000 + (random >> 33) % 30_000);
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() >= deadline && kills < 400 {
                break None;
            }
            std::thread::yield_now();
        };
        match ended {
            Some(status) => {
                assert!(status.success(), "{status}");
                break;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
        }
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert!(kills > 5, "the writers were done before anything was killed: {kills}");
    let mut next = [0, 0];
    for file in log_files(dir.path()) {
        for text in std::fs::read_to_string(&file).unwrap().lines() {
            let line: Line<'_> = serde_json::from_str(text).unwrap();
            let number: u32 = line.log[..8].parse().unwrap();
            let next = &mut next[if line.kind() == StreamKind::Stdout { 0 } else { 1 }];
            assert_eq!(number, *next, "after {kills} kills, in {}", file.display());
            *next += 1;
        }
    }
    assert_eq!(next, [LINES, LINES]);
}

/// The oldest first.
fn log_files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut ages: Vec<(u32, std::path::PathBuf)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains("-json.log"))
        .map(|path| (path.extension().unwrap().to_str().unwrap().parse().unwrap_or(0), path))
        .collect();
    ages.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    ages.into_iter().map(|(_, path)| path).collect()
}

/// Prints a figure; the limit is loose, for debug builds and busy machines.
#[test]
#[expect(clippy::print_stderr, reason = "the figure")]
fn a_million_lines_of_100_bytes_are_logged_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (sources, mut out, err) = pipes();
    let begun = Instant::now();
    let copier = runtime
        .block_on(async { start(sources, &Arc::default(), Some(&target(dir.path(), None, 1))) });
    drop(err);
    let block = [[b'x'; 99].as_slice(), b"\n"].concat().repeat(650);
    for _ in 0..1_000_000 / 650 {
        out.write_all(&block).unwrap();
    }
    drop(out);
    runtime.block_on(copier.finish());
    let took = begun.elapsed();
    eprintln!("1,000,000 lines of 100 bytes to json-file: {} ms", took.as_millis());
    assert!(took < Duration::from_secs(20), "{took:?}");
}
