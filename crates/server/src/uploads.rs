//! Bodies of requests, and how much of them is in memory at once. One place reads them all.
//!
//! A small body costs nobody anything. One that is larger takes its share of a room that is as large as eight of the largest, and keeps it
//! until its request is answered; where the room is full it waits for a while, and is then told to come again. One address has half of the
//! room at most, so that it keeps nobody else out. Who sends nothing more, or only a trickle, keeps no share for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt as _;
use jackfield_core::{Code, Error};
use jackfield_engine::neighbourhood;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::front::Peer;

/// So much every request may send.
const FREE: usize = 1 << 20;
/// So many of the largest bodies have room at once.
const AT_ONCE: usize = 8;
/// What is counted.
const UNIT: usize = 1024;
/// How long one waits for room.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one that has a share may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// So many bytes one that has a share sends in a second, on the whole: a slow line does.
const LEAST: usize = 32 * 1024;

/// The room for large bodies, one for the process.
#[derive(Clone)]
pub(crate) struct Uploads {
    room: Arc<Semaphore>,
    size: u32,
    patience: Duration,
    /// by address, the part of the room that it may have
    parts: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Uploads {
    /// Room for eight bodies of this size.
    pub fn of(largest: usize) -> Self {
        Self::with(largest, PATIENCE)
    }

    fn with(largest: usize, patience: Duration) -> Self {
        let size = units(largest).saturating_mul(u32::try_from(AT_ONCE).unwrap_or(1)).max(1);
        Self { room: semaphore(size), size, patience, parts: Arc::default() }
    }

    /// So much of the room one address may have.
    fn half(&self) -> u32 {
        (self.size / 2).max(1)
    }

    /// The part of an address.
    fn part(&self, address: &str) -> Arc<Semaphore> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        // Of those who have nothing nothing is known.
        parts.retain(|_, part| Arc::strong_count(part) > 1);
        Arc::clone(parts.entry(neighbourhood(address)).or_insert_with(|| semaphore(self.half())))
    }

    /// The share of a request, which it has not taken yet.
    pub fn share(&self) -> Share {
        Share { uploads: self.clone(), held: Arc::default() }
    }
}

fn semaphore(size: u32) -> Arc<Semaphore> {
    let permits = usize::try_from(size).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(permits))
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// What a request holds of the room, until the last copy of this is dropped.
#[derive(Clone)]
pub(crate) struct Share {
    uploads: Uploads,
    held: Arc<Mutex<Vec<OwnedSemaphorePermit>>>,
}

impl Share {
    async fn take(&self, bytes: usize, address: Option<&str>) -> Result<(), Error> {
        let uploads = &self.uploads;
        let wanted = units(bytes).min(uploads.size);
        let turn = async {
            let mut held = Vec::new();
            if let Some(address) = address {
                held.push(uploads.part(address).acquire_many_owned(wanted.min(uploads.half())).await.ok()?);
            }
            held.push(Arc::clone(&uploads.room).acquire_many_owned(wanted).await.ok()?);
            Some(held)
        };
        let Ok(Some(held)) = tokio::time::timeout(uploads.patience, turn).await else {
            let why = "More is being sent just now than there is room for. Send it again in a few seconds.";
            return Err(Error::new(Code::Unavailable, why).with_retry_after(5));
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(())
    }
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// it is larger than it may be
    TooLarge,
    /// it broke off, or nothing more came
    Broken,
    /// there is no room for it, or what it says is nothing that anybody would read further
    Refused(Error),
}

/// A body that comes in.
pub(crate) struct Incoming {
    body: Body,
    /// what is there of it
    read: usize,
    limit: usize,
    /// as much as will come
    expected: usize,
    /// until it is taken
    share: Option<Share>,
    /// from where it comes
    address: Option<String>,
    /// until when it is to be there, once it has a share
    until: Option<Instant>,
}

impl Incoming {
    pub fn new(parts: &Parts, body: Body, limit: usize) -> Self {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self {
            body,
            read: 0,
            limit,
            expected: length.unwrap_or(limit).min(limit),
            share: parts.extensions.get::<Share>().cloned(),
            address: parts.extensions.get::<Peer>().map(|Peer(address)| address.to_string()),
            until: None,
        }
    }

    /// The next bytes; nothing when all are there.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Unread> {
        loop {
            let next = self.body.frame();
            let frame = if self.read > FREE {
                let silent = Instant::now() + SILENCE;
                let until = self.until.map_or(silent, |until| until.min(silent));
                tokio::time::timeout_at(until, next).await.map_err(|_| Unread::Broken)?
            } else {
                next.await
            };
            let Some(frame) = frame else { return Ok(None) };
            // Trailers say nothing to anybody here.
            let Ok(bytes) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
            self.read = self.read.saturating_add(bytes.len());
            if self.read > self.limit {
                return Err(Unread::TooLarge);
            }
            if self.read > FREE
                && let Some(share) = self.share.take()
            {
                share
                    .take(self.expected.max(self.read), self.address.as_deref())
                    .await
                    .map_err(Unread::Refused)?;
                let left = self.expected.saturating_sub(self.read).div_ceil(LEAST);
                let left = Duration::from_secs(u64::try_from(left).unwrap_or(u64::MAX));
                self.until = Instant::now().checked_add(SILENCE.saturating_add(left));
            }
            return Ok(Some(bytes));
        }
    }

    /// All of it.
    pub async fn whole(mut self) -> Result<Bytes, Unread> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        // Most bodies are one piece.
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = BytesMut::with_capacity(self.expected.max(self.read).min(FREE));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(more) = self.chunk().await? {
            all.extend_from_slice(&more);
        }
        Ok(all.freeze())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn incoming(uploads: &Uploads, bytes: usize, limit: usize) -> (Incoming, Share) {
        incoming_from(None, uploads, bytes, limit)
    }

    fn incoming_from(
        address: Option<&str>,
        uploads: &Uploads,
        bytes: usize,
        limit: usize,
    ) -> (Incoming, Share) {
        let share = uploads.share();
        let mut request = Request::builder().header(CONTENT_LENGTH, bytes).extension(share.clone());
        if let Some(address) = address {
            request = request.extension(Peer(address.parse().unwrap()));
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        // In two pieces, as from a network.
        let piece = |many: usize| Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; many]));
        let pieces = [piece(bytes / 2), piece(bytes - bytes / 2)];
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        (Incoming::new(&parts, body, limit), share)
    }

    #[tokio::test]
    async fn large_bodies_share_a_room_and_small_ones_need_none() {
        let large = 2 * FREE;
        let uploads = Uploads::with(large, Duration::ZERO);
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            let (body, share) = incoming(&uploads, large, large);
            assert_eq!(body.whole().await.unwrap().len(), large);
            held.push(share);
        }
        let (body, _share) = incoming(&uploads, large, large);
        let Err(Unread::Refused(error)) = body.whole().await else { panic!("there was room") };
        assert_eq!((error.code, error.retry_after), (Code::Unavailable, Some(5)));
        let (body, _share) = incoming(&uploads, FREE, large);
        assert_eq!(body.whole().await.unwrap().len(), FREE, "a small one goes through");
        // Who is answered makes room for the next.
        held.pop();
        let (body, _share) = incoming(&uploads, large, large);
        assert_eq!(body.whole().await.unwrap().len(), large);
    }

    #[tokio::test]
    async fn one_address_leaves_room_for_the_others() {
        let large = 2 * FREE;
        let uploads = Uploads::with(large, Duration::ZERO);
        let mut held = Vec::new();
        let send = async |address: &str| {
            let (body, share) = incoming_from(Some(address), &uploads, large, large);
            body.whole().await.map(|_| share)
        };
        for n in 0..AT_ONCE / 2 {
            held.push(send(&format!("2001:db8::{n}")).await.unwrap());
        }
        assert!(matches!(send("2001:db8::ffff").await, Err(Unread::Refused(_))), "it has its half");
        let other = send("192.0.2.1").await.unwrap();
        held.pop();
        held.push(send("2001:db8::ffff").await.unwrap());
        drop((held, other));
        assert!(send("192.0.2.1").await.is_ok());
        assert_eq!(uploads.parts.lock().unwrap().len(), 1, "who has nothing is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_keeps_no_share() {
        let large = 4 * FREE;
        let read = async |every: u64, size: usize| {
            let share = Uploads::of(large).share();
            let request = Request::builder().header(CONTENT_LENGTH, large).extension(share);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let begin =
                futures_util::stream::iter([Ok::<_, std::convert::Infallible>(vec![b'x'; FREE + 1].into())]);
            let rest = futures_util::stream::unfold(large - FREE - 1, move |left| async move {
                tokio::time::sleep(Duration::from_secs(every)).await;
                let piece = size.min(left);
                (piece > 0).then(|| (Ok(Bytes::from(vec![b'x'; piece])), left - piece))
            });
            let body = Body::from_stream(futures_util::StreamExt::chain(begin, rest));
            Incoming::new(&parts, body, large).whole().await.map(|all| all.len())
        };
        assert_eq!(read(10, 20 * LEAST).await.unwrap(), large);
        assert!(matches!(read(31, large).await, Err(Unread::Broken)), "silent");
        assert!(matches!(read(10, 1).await, Err(Unread::Broken)), "a byte now and then");
    }

    #[tokio::test]
    async fn one_that_waits_has_its_turn() {
        let large = 2 * FREE;
        let uploads = Uploads::with(large, Duration::from_mins(10));
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            let (body, share) = incoming(&uploads, large, large);
            body.whole().await.unwrap();
            held.push(share);
        }
        let (body, _share) = incoming(&uploads, large, large);
        let mut waits = std::pin::pin!(body.whole());
        let once =
            std::future::poll_fn(|context| std::task::Poll::Ready(waits.as_mut().poll(context).is_ready()));
        assert!(!once.await, "there is no room");
        drop(held);
        assert_eq!(waits.await.unwrap().len(), large);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused() {
        let uploads = Uploads::of(FREE);
        let (body, _share) = incoming(&uploads, 101, 100);
        assert!(matches!(body.whole().await, Err(Unread::TooLarge)));
        // One body that is larger than the room has the whole of it.
        let (body, _share) = incoming(&Uploads::with(1, Duration::ZERO), 2 * FREE, 2 * FREE);
        assert_eq!(body.whole().await.unwrap().len(), 2 * FREE);
    }
}
