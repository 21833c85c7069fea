//! Splits, merges and scales: the new shards take appends on every core when one of these is answered.

use std::rc::Rc;

use tidemill_wire::StreamName;
use tidemill_wire::message::{MergeShards, ScaleStream, SplitShard};

use super::connection::Ticket;
use super::describe_stream;
use super::error::reshard_failure;
use crate::service::catalog::ShardChange;

/// Makes two shards of one.
pub(super) fn split(ticket: Ticket, asked: SplitShard) {
    let SplitShard { name, shard, at } = asked;
    begin(ticket, name, ShardChange::Split { shard, at });
}

/// Makes one shard of two.
pub(super) fn merge(ticket: Ticket, asked: MergeShards) {
    let MergeShards { name, shard, adjacent } = asked;
    begin(ticket, name, ShardChange::Merge { shard, adjacent });
}

/// Makes so many shards of those that there are.
pub(super) fn scale(ticket: Ticket, asked: ScaleStream) {
    let ScaleStream { name, shards } = asked;
    begin(ticket, name, ShardChange::Scale { shards });
}

/// Has the catalog change the shards and answers with the stream's description. Changes wait for each other.
fn begin(ticket: Ticket, name: StreamName, change: ShardChange) {
    let core = Rc::clone(ticket.connection.core());
    core.clone().spawn(async move {
        match core.catalog().reshard(name.into(), change).await {
            Ok(definition) => describe_stream::answer(ticket, &definition).await,
            Err(error) => ticket.settle(Err(reshard_failure(&error))),
        }
    });
}
