//! Requests a second, by blocking connections that stay open.

use crate::table::Report;
use bulkhead_tests::Engine;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each figure is measured.
const SPAN: Duration = Duration::from_millis(1200);
const CONNECTIONS: [usize; 2] = [1, 8];

/// Each path with one connection and with eight.
pub fn rates(report: &mut Report, engine: &Engine, state: &str, paths: &[&str]) {
    for path in paths {
        for connections in CONNECTIONS {
            let name = format!("GET {path}, {connections} conn., {state}");
            let rate = rate(&engine.socket(), path, connections);
            report.rates(&name, "/s", rate.map(|rate| vec![rate]));
        }
    }
}

fn rate(socket: &Path, path: &str, connections: usize) -> Result<f64, String> {
    let began = Instant::now();
    let counts: Vec<Result<usize, String>> = std::thread::scope(|scope| {
        let work = || {
            let mut client = Client::connect(socket)?;
            let request = request("GET", path, "");
            let mut count = 0;
            while began.elapsed() < SPAN {
                client.exchange(&request)?;
                count += 1;
            }
            Ok(count)
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("thread")).collect()
    });
    let total: usize = counts.into_iter().sum::<Result<usize, String>>()?;
    Ok(total as f64 / began.elapsed().as_secs_f64())
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    let kind = "Content-Type: application/json\r\n";
    format!("{head}{kind}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A connection that stays open.
pub struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Client {
    /// Connect.
    pub fn connect(socket: &Path) -> Result<Self, String> {
        let stream = UnixStream::connect(socket).map_err(|error| format!("connect: {error}"))?;
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).map_err(|error| error.to_string())?;
        Ok(Self { stream, buffer: vec![0; 1 << 16], filled: 0 })
    }

    /// One request; the body of an answer that says success.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>, String> {
        let request = request(method, path, body);
        self.exchange(&request).map_err(|why| format!("{method} {path}: {why}"))
    }

    /// Send a request and read its answer to the end; the body.
    fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        self.stream.write_all(request).map_err(|error| error.to_string())?;
        self.filled = 0;
        let head = loop {
            if let Some(end) = find(&self.buffer[..self.filled], b"\r\n\r\n") {
                break end + 4;
            }
            self.fill()?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status: u16 = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = if status == 204 || status == 304 {
            Vec::new()
        } else if text.contains("transfer-encoding: chunked") {
            self.chunks(head)?
        } else {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|text| text.parse().ok()).ok_or("no length")?;
            while self.filled < head + length {
                self.fill()?;
            }
            self.buffer[head..head + length].to_vec()
        };
        if (200..400).contains(&status) {
            return Ok(body);
        }
        Err(format!("{status} {}", String::from_utf8_lossy(&body).trim()))
    }

    fn chunks(&mut self, mut at: usize) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                match find(&self.buffer[at..self.filled], b"\r\n") {
                    Some(end) => break at + end,
                    None => self.fill()?,
                }
            };
            let size = String::from_utf8_lossy(&self.buffer[at..line]).into_owned();
            let size = usize::from_str_radix(&size, 16).map_err(|error| error.to_string())?;
            let data = line + 2;
            while self.filled < data + size + 2 {
                self.fill()?;
            }
            body.extend_from_slice(&self.buffer[data..data + size]);
            at = data + size + 2;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn fill(&mut self) -> Result<(), String> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let got = self.stream.read(&mut self.buffer[self.filled..]);
        match got.map_err(|error| error.to_string())? {
            0 => Err("the connection was closed".to_owned()),
            count => {
                self.filled += count;
                Ok(())
            }
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
