//! Live output to whoever is attached.
//!
//! Each reader has a queue of at most [`QUEUE_BYTES`]. A full queue holds the container's output up
//! (as in Docker: `docker run ... | slow` must get every byte), but only while its reader moves: one
//! that has taken nothing for [`STALL`] is cut off, so that nobody can stop a container by not
//! reading.

use crate::stream::StreamKind;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How much output waits for one reader.
const QUEUE_BYTES: usize = 1024 * 1024;
/// How long a reader may take nothing while its queue is full.
const STALL: Duration = Duration::from_secs(10);

/// Everyone attached to one container or exec.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    queues: Mutex<Vec<Arc<Queue>>>,
    /// How many queues there are, to be asked without a lock.
    count: AtomicUsize,
}

impl Hub {
    /// Attach: see what comes from now on of the chosen streams.
    pub(crate) fn subscribe(&self, stdout: bool, stderr: bool) -> Subscription {
        let queue = Arc::new(Queue { stdout, stderr, ..Queue::default() });
        let mut queues = self.queues();
        queues.push(Arc::clone(&queue));
        self.count.store(queues.len(), Ordering::Release);
        Subscription { queue }
    }

    /// Whether nobody is attached.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Give a piece to everyone, waiting for room.
    pub(crate) async fn send(&self, kind: StreamKind, piece: Bytes) {
        let queues = self.queues().clone();
        let mut gone = false;
        for queue in queues {
            gone |= !queue.put(kind, piece.clone()).await;
        }
        if gone {
            let mut queues = self.queues();
            queues.retain(|queue| !queue.contents().closed);
            self.count.store(queues.len(), Ordering::Release);
        }
    }

    /// The streams have ended: every reader sees what is queued and then the end.
    pub(crate) fn end(&self) {
        let mut queues = self.queues();
        for queue in queues.drain(..) {
            queue.close();
        }
        self.count.store(0, Ordering::Release);
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits for one reader.
#[derive(Debug, Default)]
struct Queue {
    stdout: bool,
    stderr: bool,
    contents: Mutex<Contents>,
    readable: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct Contents {
    pieces: VecDeque<(StreamKind, Bytes)>,
    bytes: usize,
    /// Nothing more is put in: the streams have ended, or the reader has gone or was cut off.
    closed: bool,
}

impl Queue {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.contents().closed = true;
        self.readable.notify_one();
        self.room.notify_one();
    }

    /// False: the reader is not there any more.
    async fn put(&self, kind: StreamKind, piece: Bytes) -> bool {
        let wanted = match kind {
            StreamKind::Stdout => self.stdout,
            StreamKind::Stderr => self.stderr,
        };
        loop {
            {
                let mut contents = self.contents();
                if contents.closed {
                    return false;
                }
                if !wanted {
                    return true;
                }
                if contents.bytes < QUEUE_BYTES {
                    contents.bytes += piece.len();
                    contents.pieces.push_back((kind, piece));
                    self.readable.notify_one();
                    return true;
                }
            }
            // Every piece that the reader takes wakes this.
            if tokio::time::timeout(STALL, self.room.notified()).await.is_err() {
                tracing::warn!("an attached client that does not read was cut off");
                self.close();
                return false;
            }
        }
    }
}

/// One reader's end.
#[derive(Debug)]
pub(crate) struct Subscription {
    queue: Arc<Queue>,
}

impl Subscription {
    /// The next piece; none: the end. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<(StreamKind, Bytes)> {
        loop {
            {
                let mut contents = self.queue.contents();
                if let Some((kind, piece)) = contents.pieces.pop_front() {
                    contents.bytes -= piece.len();
                    self.queue.room.notify_one();
                    return Some((kind, piece));
                }
                if contents.closed {
                    return None;
                }
            }
            self.queue.readable.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut contents = self.queue.contents();
        contents.closed = true;
        contents.pieces.clear();
        self.queue.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_reader_gets_the_streams_it_chose_and_then_the_end() {
        let hub = Hub::default();
        let mut both = hub.subscribe(true, true);
        let mut errors = hub.subscribe(false, true);
        hub.send(StreamKind::Stdout, Bytes::from_static(b"o")).await;
        hub.send(StreamKind::Stderr, Bytes::from_static(b"e")).await;
        hub.end();
        assert_eq!(both.next().await, Some((StreamKind::Stdout, Bytes::from_static(b"o"))));
        assert_eq!(both.next().await, Some((StreamKind::Stderr, Bytes::from_static(b"e"))));
        assert_eq!(both.next().await, None);
        assert_eq!(errors.next().await, Some((StreamKind::Stderr, Bytes::from_static(b"e"))));
        assert_eq!(errors.next().await, None);
        assert!(hub.is_empty());
    }

    #[tokio::test]
    async fn a_slow_reader_loses_nothing() {
        let hub = Arc::new(Hub::default());
        let mut reader = hub.subscribe(true, true);
        let piece = Bytes::from(vec![b'x'; QUEUE_BYTES / 2]);
        let writer = tokio::spawn({
            let hub = Arc::clone(&hub);
            async move {
                for _ in 0..8 {
                    hub.send(StreamKind::Stdout, piece.clone()).await;
                }
                hub.end();
            }
        });
        let mut total = 0;
        while let Some((_, piece)) = reader.next().await {
            total += piece.len();
            tokio::task::yield_now().await;
        }
        writer.await.unwrap();
        assert_eq!(total, 4 * QUEUE_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_cut_off() {
        let hub = Hub::default();
        let mut stuck = hub.subscribe(true, true);
        let piece = Bytes::from(vec![b'x'; QUEUE_BYTES]);
        hub.send(StreamKind::Stdout, piece.clone()).await;
        hub.send(StreamKind::Stdout, piece.clone()).await;
        assert!(hub.is_empty());
        assert!(stuck.next().await.is_some(), "what was queued is still there");
        assert_eq!(stuck.next().await, None);
    }
}
