//! From a request to the owner of its lane: on this core straight away, on another through its mailbox, with the same answer.

use std::cell::RefCell;
use std::future::Future;

use futures_channel::oneshot;
use futures_lite::future::or;
use futures_util::future::join_all;
use tidemill_storage::Appended;
use tidemill_wire::{ShardIndex, StreamId};

use super::core::Core;
use super::mailbox::{Courier, Post};
use super::request::{Letter, Request, Requests};
use super::snapshot::CoreReport;
use crate::service::stream::{Append, AppendError, Definition, Delivery, Fetch, FetchError, ShardBounds};

/// Where a request belongs.
enum Home {
    Here,
    Core(u32),
}

enum Started<L> {
    Refused(AppendError),
    Here(L),
    There(oneshot::Receiver<Result<Appended, AppendError>>),
}

enum Unknown {
    Stream,
    Shard,
}

impl Core {
    /// Begins an append: on this core it is queued now, for another one the courier takes it along. So the order of calls is the order in the
    /// shard, if the courier delivers before another is used. The future is the acknowledgement.
    pub fn append(
        &self,
        courier: &mut Courier,
        append: Append,
    ) -> impl Future<Output = Result<Appended, AppendError>> + use<> {
        let (stream, shard) = (append.stream, append.shard);
        let started = match self.home(stream, shard) {
            Err(Unknown::Stream) => Started::Refused(AppendError::UnknownStream { stream }),
            Err(Unknown::Shard) => Started::Refused(AppendError::UnknownShard { stream, shard }),
            Ok(Home::Here) => match self.streams.append(append) {
                Ok(queued) => Started::Here(queued),
                Err(error) => Started::Refused(error),
            },
            Ok(Home::Core(core)) => {
                let (reply, answer) = oneshot::channel();
                courier.take(core, Request::Append { append, reply });
                Started::There(answer)
            }
        };
        async move {
            match started {
                Started::Refused(error) => Err(error),
                Started::Here(queued) => queued.await,
                Started::There(answer) => answer.await.unwrap_or(Err(AppendError::Closing)),
            }
        }
    }

    /// Reads a shard wherever it is. A fetch that waits ends with nothing when the server goes down.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Delivery, FetchError> {
        let (stream, shard) = (fetch.stream, fetch.shard);
        match self.home(stream, shard) {
            Err(Unknown::Stream) => Err(FetchError::UnknownStream { stream }),
            Err(Unknown::Shard) => Err(FetchError::UnknownShard { stream, shard }),
            Ok(Home::Here) => self.streams.fetch(fetch, self.stopping.wait()).await,
            Ok(Home::Core(core)) => {
                let (reply, answer) = oneshot::channel();
                let requests = Requests(vec![Request::Fetch { fetch, reply }]);
                let sent = self.post.send(core, Letter::Requests(requests)).await;
                sent.map_err(|_| FetchError::Closing)?;
                answer.await.unwrap_or(Err(FetchError::Closing))
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
                let requests = Requests(vec![Request::Bounds { stream: definition.id, reply }]);
                if self.post.send(core, Letter::Requests(requests)).await.is_ok() {
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
        ask_all(&self.post, enough).await
    }

    fn others(&self) -> impl Iterator<Item = u32> + use<> {
        let own = self.index;
        (0..self.placement.cores).filter(move |core| *core != own)
    }

    fn home(&self, stream: StreamId, shard: ShardIndex) -> Result<Home, Unknown> {
        let known = self.streams.get(stream).ok_or(Unknown::Stream)?;
        let shard = known.definition().shard(shard).ok_or(Unknown::Shard)?;
        let core = self.placement.core_of(shard.lane);
        Ok(if core == self.index { Home::Here } else { Home::Core(core) })
    }
}

/// Asks every core for its numbers and gathers what has come when `enough` resolves.
pub(super) async fn ask_all(post: &Post, enough: impl Future<Output = ()>) -> Vec<CoreReport> {
    let reports = RefCell::new(Vec::new());
    let ask = |core: u32| {
        let reports = &reports;
        async move {
            let (reply, answer) = oneshot::channel();
            if post.send(core, Letter::Report { reply }).await.is_ok()
                && let Ok(report) = answer.await
            {
                reports.borrow_mut().push(report);
            }
        }
    };
    let all = async {
        join_all((0..post.cores()).map(ask)).await;
    };
    or(all, enough).await;
    let mut reports = reports.into_inner();
    reports.sort_unstable_by_key(|report: &CoreReport| report.core.core);
    reports
}
