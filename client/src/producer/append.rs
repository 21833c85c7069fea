//! Sees one batch to its end: sends it, waits, sends it again, and decides what its records' fate is.

use std::time::Duration;

use bytes::Bytes;
use tidemill_wire::ShardIndex;
use tidemill_wire::message::{Append, Appended, ErrorCode, Failure, RequestBody, ResponseBody};

use super::Shared;
use super::batch::SealedBatch;
use super::delivery::Outcome;
use crate::retry::{is_transient, may_be_carried_out};
use crate::{ClientError, SendError, ThrottlePolicy};

/// How long a batch waits for its shard to be split or merged: several times as long as a server holds a shard.
const MOVE_TIME_MAX: Duration = Duration::from_secs(30);
/// The least pause meanwhile.
const MOVE_PAUSE_MIN: Duration = Duration::from_millis(1);

/// How a batch came down.
pub(super) enum Landing {
    /// Its records' fate is known.
    Ended(Outcome),
    /// It is not stored, and the shard map is not what it was.
    Astray(Failure),
}

/// What happened to a batch so far.
#[derive(Default)]
struct History {
    throttled: Duration,
    /// Time that was waited for the shard to be split or merged.
    moving: Duration,
    /// An earlier try may have stored the batch.
    doubt: Option<ClientError>,
}

enum Verdict {
    Again(Duration),
    Land(Landing),
}

impl Shared {
    /// Sends a batch until it is answered for good.
    pub(super) async fn append(&self, shard: ShardIndex, batch: &mut SealedBatch) -> Landing {
        let payload = batch.payload(self.options.compression);
        let mut history = History::default();
        loop {
            let error = match self.try_append(shard, payload.clone()).await {
                Ok(appended) => {
                    self.lock().queue(shard).retry.succeeded();
                    return Landing::Ended(Outcome::Stored(appended));
                }
                Err(error) => error,
            };
            match self.judge(shard, &mut history, error) {
                Verdict::Again(pause) => tokio::time::sleep(pause).await,
                Verdict::Land(landing) => return landing,
            }
        }
    }

    async fn try_append(&self, shard: ShardIndex, payload: Bytes) -> Result<Appended, ClientError> {
        let (stream, lane) = {
            let state = self.lock();
            (state.description().id, state.route().lane(shard))
        };
        let connection = match lane {
            Some(lane) => self.pool.lane(lane).await?,
            None => self.pool.first().await?,
        };
        let append = Append { stream, shard: Some(shard), ack: self.options.ack };
        let answer = connection.request(RequestBody::Append(append), payload).await?;
        match answer.body {
            ResponseBody::Appended(appended) if appended.shard == shard => Ok(appended),
            other => Err(connection.misfit("append", &other)),
        }
    }

    fn judge(&self, shard: ShardIndex, history: &mut History, error: ClientError) -> Verdict {
        if let ClientError::Refused(failure) = &error {
            match failure.code {
                ErrorCode::WriteThrottled => return self.judge_throttle(shard, history, failure),
                ErrorCode::ShardMoving => return self.judge_move(shard, history, failure),
                ErrorCode::ShardClosed | ErrorCode::UnknownShard | ErrorCode::UnknownStream => {
                    return Verdict::Land(Landing::Astray(failure.clone()));
                }
                _ => {}
            }
        }
        if may_be_carried_out(&error) {
            if !self.options.resend_unknown || !is_transient(&error) {
                return Verdict::fail(SendError::UnknownOutcome(error));
            }
            history.doubt.get_or_insert_with(|| error.clone());
        }
        let pause = self.lock().queue(shard).retry.failed(&error, self.pool.chance());
        match pause {
            Some(pause) => {
                tracing::debug!(%shard, %error, ?pause, "append is tried again");
                Verdict::Again(pause)
            }
            None => Verdict::fail(history.end(error)),
        }
    }

    /// The shard is being split or merged: the server is well, and it is over in a moment, or given up by the server after some seconds.
    fn judge_move(&self, shard: ShardIndex, history: &mut History, failure: &Failure) -> Verdict {
        self.lock().queue(shard).retry.succeeded();
        let pause = Duration::from_millis(failure.retry_after_ms.into()).max(MOVE_PAUSE_MIN);
        history.moving = history.moving.saturating_add(pause);
        if history.moving > MOVE_TIME_MAX {
            return Verdict::fail(history.end(failure.clone().into()));
        }
        Verdict::Again(pause)
    }

    /// The quota is used up: the server is well, and tells when there will be room.
    fn judge_throttle(&self, shard: ShardIndex, history: &mut History, failure: &Failure) -> Verdict {
        self.lock().queue(shard).retry.succeeded();
        let pause = Duration::from_millis(failure.retry_after_ms.into());
        let ThrottlePolicy::Wait { at_most } = self.options.throttle else {
            return Verdict::fail(history.end(failure.clone().into()));
        };
        let waited = history.throttled.saturating_add(pause);
        // Without a time to wait, waiting does not help.
        if pause.is_zero() || waited > at_most {
            return Verdict::fail(history.end(failure.clone().into()));
        }
        history.throttled = waited;
        Verdict::Again(pause)
    }
}

impl Verdict {
    fn fail(error: SendError) -> Self {
        Self::Land(Landing::Ended(Outcome::Failed(error)))
    }
}

impl History {
    /// The batch's end by this error, in the light of what was tried before.
    fn end(&mut self, error: ClientError) -> SendError {
        match (self.doubt.take(), error) {
            (Some(doubt), _) => SendError::UnknownOutcome(doubt),
            (None, ClientError::Refused(failure)) => SendError::Refused(failure),
            (None, error) => SendError::Unreachable(error),
        }
    }
}
