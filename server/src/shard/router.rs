//! From a request to the owner of its lane: on this core straight away, on another through its mailbox, with the same answer.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

use futures_channel::oneshot;
use futures_lite::future::or;
use futures_util::future::join_all;
use tidemill_wire::{ShardIndex, StreamId};

use super::core::Core;
use super::mailbox::Post;
use super::request::{Letter, Request};
use super::snapshot::CoreReport;
use crate::service::stream::{
    Definition, Delivery, Feed, FeedError, Fetch, FetchError, Place, SeatError, ShardBounds, Turn,
};

/// Where a request belongs.
pub(super) enum Home {
    Here,
    Core(u32),
}

/// What of a request's address is not known.
pub(super) enum Unknown {
    Stream,
    Shard,
}

impl Core {
    /// Reads a shard wherever it is. A fetch that waits ends with nothing when the server goes down.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Delivery, FetchError> {
        let (stream, shard) = (fetch.stream, fetch.shard);
        match self.home(stream, shard) {
            Err(Unknown::Stream) => Err(FetchError::UnknownStream { stream }),
            Err(Unknown::Shard) => Err(FetchError::UnknownShard { stream, shard }),
            Ok(Home::Here) => self.streams.fetch(fetch, self.stopping.wait()).await,
            Ok(Home::Core(core)) => {
                let (reply, answer) = oneshot::channel();
                let letter = Letter::Request(Request::Fetch { fetch, reply });
                let sent = self.post.send(core, letter).await;
                sent.map_err(|_| FetchError::Closing)?;
                answer.await.unwrap_or(Err(FetchError::Closing))
            }
        }
    }

    /// Takes a consumer's seat at a shard wherever it is; it is kept from others for `hold`.
    pub async fn sit(&self, place: Place, hold: Duration) -> Result<Turn, SeatError> {
        let (stream, shard) = (place.stream, place.shard);
        match self.home(stream, shard) {
            Err(Unknown::Stream) => Err(SeatError::UnknownStream { stream }),
            Err(Unknown::Shard) => Err(SeatError::UnknownShard { stream, shard }),
            Ok(Home::Here) => self.streams.sit(&place, hold),
            Ok(Home::Core(core)) => {
                let (reply, answer) = oneshot::channel();
                let letter = Letter::Request(Request::Sit { place, hold, reply });
                self.post.send(core, letter).await.map_err(|_| SeatError::Closing)?;
                answer.await.unwrap_or(Err(SeatError::Closing))
            }
        }
    }

    /// Reads a shard from a seat wherever it is; as [`fetch`](Self::fetch), and ends when the seat is lost.
    pub async fn feed(&self, feed: Feed) -> Result<Delivery, FeedError> {
        let (stream, shard) = (feed.fetch.stream, feed.fetch.shard);
        match self.home(stream, shard) {
            Err(Unknown::Stream) => Err(FetchError::UnknownStream { stream }.into()),
            Err(Unknown::Shard) => Err(FetchError::UnknownShard { stream, shard }.into()),
            Ok(Home::Here) => self.streams.feed(feed, self.stopping.wait()).await,
            Ok(Home::Core(core)) => {
                let (reply, answer) = oneshot::channel();
                let letter = Letter::Request(Request::Feed { feed, reply });
                self.post.send(core, letter).await.map_err(|_| FetchError::Closing)?;
                answer.await.unwrap_or(Err(FetchError::Closing.into()))
            }
        }
    }

    /// What all shards of a stream hold, in no order; those of a core that has gone are left out.
    pub async fn bounds(&self, definition: &Definition) -> Vec<ShardBounds> {
        let mut found = self.streams.bounds(definition.id);
        let mut answers = Vec::new();
        for core in self.others() {
            if definition.shards().iter().any(|shard| self.placement.core_of(shard.lane) == core) {
                let (reply, answer) = oneshot::channel();
                let letter = Letter::Request(Request::Bounds { stream: definition.id, reply });
                if self.post.send(core, letter).await.is_ok() {
                    answers.push(answer);
                }
            }
        }
        for answer in answers {
            found.extend(answer.await.unwrap_or_default());
        }
        found
    }

    /// The numbers of every core, by core; those that do not answer before `enough` resolves are left out. All are asked at once, so one
    /// that is stuck does not hide the others.
    pub async fn reports(&self, enough: impl Future<Output = ()>) -> Vec<CoreReport> {
        let mut reports = ask_all(&self.post, |reply| Letter::Report { reply }, enough).await;
        reports.sort_unstable_by_key(|report| report.core.core);
        reports
    }

    /// Holds the compaction of all lanes, or lets it go on. Returns how many cores have done so before `enough` resolves; the others do it when they come to it.
    pub async fn pause_compaction(&self, paused: bool, enough: impl Future<Output = ()>) -> usize {
        let letter = |reply| Letter::PauseCompaction { paused, reply };
        ask_all(&self.post, letter, enough).await.len()
    }

    pub(super) fn others(&self) -> impl Iterator<Item = u32> + use<> {
        let own = self.index;
        (0..self.placement.cores).filter(move |core| *core != own)
    }

    pub(super) fn home(&self, stream: StreamId, shard: ShardIndex) -> Result<Home, Unknown> {
        if self.streams.is_recent(stream, shard) {
            return Ok(Home::Here);
        }
        let known = self.streams.get(stream).ok_or(Unknown::Stream)?;
        let lane = known.lane_of(shard).ok_or(Unknown::Shard)?;
        let core = self.placement.core_of(lane);
        Ok(if core == self.index { Home::Here } else { Home::Core(core) })
    }
}

/// Asks every core and gathers the answers that have come when `enough` resolves, in no order.
pub(super) async fn ask_all<T>(
    post: &Post,
    letter: impl Fn(oneshot::Sender<T>) -> Letter,
    enough: impl Future<Output = ()>,
) -> Vec<T> {
    let answers = RefCell::new(Vec::new());
    let ask = |core: u32| {
        let (answers, letter) = (&answers, &letter);
        async move {
            let (reply, answer) = oneshot::channel();
            if post.send(core, letter(reply)).await.is_ok()
                && let Ok(answer) = answer.await
            {
                answers.borrow_mut().push(answer);
            }
        }
    };
    let all = async {
        join_all((0..post.cores()).map(ask)).await;
    };
    or(all, enough).await;
    answers.into_inner()
}
