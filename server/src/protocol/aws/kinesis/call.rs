//! One call on its way: what its operation needs of the server, and the names in its input.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::or;

use tidemill_wire::message::Position;
use tidemill_wire::routing::{HashKey, HashKeyRange};
use tidemill_wire::{SequenceNumber, ShardIndex, StreamName, Timestamp};

use super::super::seal::Seal;
use super::super::value::Value;
use super::super::{Aws, Fault, Identity, Request};
use super::error::{
    fetch_fault, invalid, no_shard, no_stream, not_active, not_found, on_demand, reshard_fault,
};
use super::limits::{MOVE_PAUSE, TOKEN_AGE_MS_MAX};
use super::names::{shard_id, shard_of_id, stream_arn, stream_of_arn, stream_of_id};
use super::sequence::{Numbering, RecordNumber};
use crate::service::capacity::{Distribution, Mode};
use crate::service::catalog::{AccountLimits, ShardChange, StreamKey};
use crate::service::stream::{AppendError, Definition, Fetch, ReadKind, Shard};
use crate::shard::{Core, Outcome, sleep};

/// One call.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The protocols on this core.
    pub(super) aws: &'a Aws,
    /// What was asked.
    pub(super) request: &'a Request<'a>,
}

/// What a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It serves.
    Active,
    /// It serves, and its shards are being changed.
    Updating,
}

impl Status {
    /// As clients get it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
        }
    }
}

/// The ways to name a stream, of which one is enough.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamNames<'a> {
    /// `StreamName`.
    pub(super) name: Option<&'a str>,
    /// `StreamARN`.
    pub(super) arn: Option<&'a str>,
    /// `StreamId`.
    pub(super) id: Option<&'a str>,
}

impl<'a> StreamNames<'a> {
    /// Those in an input.
    pub(super) fn of(input: &'a Value) -> Self {
        let text = |name| input.get_text(name);
        Self { name: text("StreamName"), arn: text("StreamARN"), id: text("StreamId") }
    }
}

impl<'a> Call<'a> {
    /// The core.
    pub(super) fn core(self) -> &'a Core {
        &self.aws.core
    }

    /// Who this server is.
    pub(super) fn identity(self) -> &'a Identity {
        self.aws.identity()
    }

    /// What all streams together may have.
    pub(super) fn limits(self) -> AccountLimits {
        self.aws.settings.limits
    }

    /// The account that owns the streams.
    pub(super) fn account(self) -> &'a str {
        &self.identity().account
    }

    /// What tokens are made with.
    pub(super) fn seal(self) -> &'a Seal {
        &self.aws.seal
    }

    /// The time of day.
    pub(super) fn now(self) -> Timestamp {
        self.core().now()
    }

    /// A stream's ARN.
    pub(super) fn arn(self, name: &StreamName) -> String {
        stream_arn(self.identity(), name.as_str())
    }

    /// The stream that an input names.
    pub(super) fn stream(self, input: &Value) -> Result<Arc<Definition>, Fault> {
        self.find(StreamNames::of(input))
    }

    /// The same, for a change of its shards: while one is under way there is no other.
    pub(super) fn active(self, input: &Value) -> Result<Arc<Definition>, Fault> {
        let stream = self.stream(input)?;
        match self.status(&stream) {
            Status::Active => Ok(stream),
            Status::Updating => Err(not_active(stream.name.as_str(), self.account())),
        }
    }

    /// The same, for a stream whose owners decide how many shards it has.
    pub(super) fn provisioned(self, input: &Value, operation: &str) -> Result<Arc<Definition>, Fault> {
        let stream = self.active(input)?;
        match stream.capacity.mode {
            Mode::Provisioned => Ok(stream),
            Mode::OnDemand => Err(on_demand(operation, stream.name.as_str(), self.account())),
        }
    }

    /// Where in the space of keys a record goes: where its key says, or to one shard after the other.
    pub(super) fn place(self, stream: &Definition, hash: impl FnOnce() -> HashKey) -> HashKey {
        match stream.capacity.distribution {
            Distribution::ByKey => hash(),
            Distribution::Even => {
                let turn = self.core().streams().get(stream.id).map_or(0, |stream| stream.next_turn());
                let open = stream.routing().shards();
                let nth = turn as usize % open.len().max(1);
                let shard = stream.routing().shards().nth(nth).and_then(|index| stream.shard(index));
                shard.map_or(HashKey(0), |shard| shard.range.start)
            }
        }
    }

    /// What a stream is doing.
    pub(super) fn status(self, stream: &Definition) -> Status {
        if self.core().streams().is_moving(stream.id) { Status::Updating } else { Status::Active }
    }

    /// Changes a stream's shards.
    pub(super) async fn reshard(self, stream: &Definition, change: ShardChange) -> Result<(), Fault> {
        let changed = self.core().catalog().reshard(key(stream), change).await;
        changed.map(drop).map_err(|error| reshard_fault(&error, stream.name.as_str(), self.account()))
    }

    /// Waits until a stream's shards are not being changed, and returns them; `None` if that takes longer than until `deadline`, or the stream is gone.
    pub(super) async fn rested(self, stream: &Definition, deadline: Duration) -> Option<Arc<Definition>> {
        sleep(MOVE_PAUSE).await;
        let streams = self.core().streams();
        let in_time = async {
            streams.rest(stream.id).await;
            true
        };
        let late = async {
            sleep(deadline.saturating_sub(self.core().monotonic())).await;
            false
        };
        let known = or(late, in_time).await.then(|| streams.get(stream.id)).flatten();
        known.map(|stream| Arc::clone(stream.definition()))
    }

    /// The stream of these names, which have to agree.
    pub(super) fn find(self, names: StreamNames<'_>) -> Result<Arc<Definition>, Fault> {
        let StreamNames { name, arn, id } = names;
        let of_arn = arn
            .map(|arn| {
                let found = stream_of_arn(self.identity(), arn);
                found.ok_or_else(|| not_found(format!("{arn} is not a stream of this server.")))
            })
            .transpose()?;
        let found = match (name.or(of_arn), id) {
            (Some(name), _) => self.named(name)?,
            (None, Some(id)) => {
                let stream = stream_of_id(self.seal(), id).and_then(|id| self.core().streams().get(id));
                let stream =
                    stream.ok_or_else(|| not_found(format!("Stream with the id {id} not found.")))?;
                Arc::clone(stream.definition())
            }
            (None, None) => return Err(invalid("StreamName, StreamARN or StreamId must be given.")),
        };
        let agrees = name.is_none_or(|name| name == found.name.as_str())
            && of_arn.is_none_or(|name| name == found.name.as_str())
            && id.is_none_or(|id| stream_of_id(self.seal(), id) == Some(found.id));
        if agrees {
            Ok(found)
        } else {
            Err(invalid("StreamName, StreamARN and StreamId name different streams."))
        }
    }

    /// The stream of this name.
    pub(super) fn named(self, name: &str) -> Result<Arc<Definition>, Fault> {
        let known = StreamName::new(name).ok().and_then(|name| self.core().streams().named(&name));
        known.map(|stream| Arc::clone(stream.definition())).ok_or_else(|| no_stream(name, self.account()))
    }

    /// Refuses an input that means another stream of the same name.
    pub(super) fn check_created(self, stream: &Definition, input: &Value) -> Result<(), Fault> {
        let created = input.get_timestamp("StreamCreationTimestamp");
        // Some clients have seconds only.
        if created.is_some_and(|created| created.get() / 1_000 != stream.created.get() / 1_000) {
            return Err(invalid("StreamCreationTimestamp is not that of the stream of this name."));
        }
        Ok(())
    }

    /// The shard of this id.
    pub(super) fn shard(self, stream: &Definition, id: &str) -> Result<Shard, Fault> {
        let known = shard_of_id(id).and_then(|index| stream.shard(index)).copied();
        known.ok_or_else(|| no_shard(id, stream.name.as_str(), self.account()))
    }

    /// The shard after which a list goes on, which may have vanished since it was listed: one that the stream cannot have had is refused.
    pub(super) fn after(self, stream: &Definition, id: &str) -> Result<ShardIndex, Fault> {
        let newest = stream.shards().last().map(|shard| shard.index);
        let known = shard_of_id(id).filter(|index| newest.is_some_and(|newest| *index <= newest));
        known.ok_or_else(|| no_shard(id, stream.name.as_str(), self.account()))
    }

    /// Refuses what was made too long ago.
    pub(super) fn is_expired(self, made: Timestamp) -> bool {
        self.now().get().saturating_sub(made.get()) > TOKEN_AGE_MS_MAX
    }

    /// Where a shard's record of this sequence number is, if there is or was one.
    pub(super) async fn locate(
        self,
        stream: &Definition,
        shard: ShardIndex,
        number: &str,
    ) -> Result<Option<SequenceNumber>, Fault> {
        let of_here = |number: &RecordNumber| number.created == stream.created && number.shard == shard;
        let Some(number) = RecordNumber::parse(number).filter(of_here) else { return Ok(None) };
        let end = self.end(stream, shard).await?;
        Ok(Some(number.sequence).filter(|sequence| *sequence < end || sequence.get() == 0))
    }

    /// The number that a shard's next record gets.
    pub(super) async fn end(self, stream: &Definition, shard: ShardIndex) -> Result<SequenceNumber, Fault> {
        let newest = Fetch {
            stream: stream.id,
            shard,
            position: Position::Newest,
            bytes_max: 1,
            wait: Duration::ZERO,
            kind: ReadKind::Flow,
        };
        let fetched = self.core().fetch(newest).await;
        let delivery = fetched.map_err(|error| fetch_fault(&error, stream.name.as_str(), self.account()))?;
        Ok(delivery.end)
    }
}

/// What a change of a stream is sent to the catalog with: a stream that has got its name since is another one.
pub(super) fn key(stream: &Definition) -> StreamKey {
    StreamKey { name: stream.name.clone(), id: Some(stream.id) }
}

/// Whether an append met a shard that takes no records any more, or not at the moment.
pub(super) fn is_moved(outcome: &Outcome) -> bool {
    matches!(outcome, Err(AppendError::ShardMoving { .. } | AppendError::ShardClosed { .. }))
}

/// The numbers of a shard's records.
pub(super) fn numbering(stream: &Definition, shard: ShardIndex) -> Numbering {
    Numbering::new(stream.created, shard)
}

/// A record's number as clients get it.
pub(super) fn number(stream: &Definition, shard: ShardIndex, sequence: SequenceNumber) -> String {
    numbering(stream, shard).decimal(sequence)
}

/// A range of hash keys as clients get it.
pub(super) fn range_value(range: HashKeyRange) -> Value {
    Value::structure([
        ("StartingHashKey", Value::text(range.start.to_string())),
        ("EndingHashKey", Value::text(range.end.to_string())),
    ])
}

/// A shard as clients get it.
pub(super) fn shard_value(stream: &Definition, shard: &Shard) -> Value {
    let first = number(stream, shard.index, SequenceNumber(0));
    // A shard that was closed without a record ends where it begins.
    let last = shard.closed.map(|end| SequenceNumber(end.next.get().saturating_sub(1)));
    let last = last.map(|last| number(stream, shard.index, last));
    let numbers = Value::structure([
        ("StartingSequenceNumber", Value::text(first)),
        ("EndingSequenceNumber", last.and_then(Value::text)),
    ]);
    Value::structure([
        ("ShardId", Value::text(shard_id(shard.index))),
        ("ParentShardId", shard.parent.map(shard_id).and_then(Value::text)),
        ("AdjacentParentShardId", shard.adjacent_parent.map(shard_id).and_then(Value::text)),
        ("HashKeyRange", Some(range_value(shard.range))),
        ("SequenceNumberRange", Some(numbers)),
    ])
}
