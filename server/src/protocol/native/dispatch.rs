//! From a frame to its operation.

use std::rc::Rc;

use bytes::Bytes;
use tidemill_wire::message::{ErrorCode, Failure, Request, RequestBody};

use super::append::Pending;
use super::connection::{Arrival, Connection, Violation};
use super::error::decode_failure;
use super::subscribe::Unit;
use super::{
    append, consume, count_messages, create_queue, create_stream, delete_queue, delete_stream,
    describe_queue, describe_stream, fetch, hello, list_queues, list_streams, moves, ping, receive_messages,
    reshard, send_messages, settle_messages, subscribe, update_queue, update_stream,
};
use crate::metrics::{LatencyClass, Operation};
use crate::shard::Courier;

impl Connection {
    /// Begins one request. Does not wait, so requests begin in the order of their frames.
    pub(super) fn begin(
        self: &Rc<Self>,
        message: &[u8],
        body: Bytes,
        arrival: Arrival,
        courier: &mut Courier<Pending>,
    ) -> Result<(), Violation> {
        let Request { id, body: request } = match Request::decode(message) {
            Ok(request) => request,
            Err(error) => {
                let id = error.id.ok_or_else(|| Violation::Message(error.reason.clone()))?;
                self.core().metrics().refused_frames.increment();
                self.fail(id, decode_failure(&error.reason));
                return Ok(());
            }
        };
        self.core().metrics().count_request(Operation::of(&request));
        if let Some(refusal) = self.refusal(&request, body.len()) {
            self.fail(id, refusal);
            return Ok(());
        }
        let class = LatencyClass::of(&request);
        // Only bodies and lists are kept until the answer; of other requests nothing is left but their few decoded fields.
        let permit = is_kept(&request).then_some(arrival.permit);
        let ticket = self.ticket(id, class, arrival.at, permit);
        match request {
            RequestBody::Hello(asked) => return hello::answer(ticket, &asked),
            RequestBody::Ping => ping::answer(ticket),
            RequestBody::CreateStream(asked) => create_stream::begin(ticket, asked),
            RequestBody::DescribeStream(name) => describe_stream::begin(ticket, &name),
            RequestBody::ListStreams(asked) => list_streams::answer(ticket, &asked),
            RequestBody::UpdateStream(asked) => update_stream::begin(ticket, asked),
            RequestBody::DeleteStream(name) => delete_stream::begin(ticket, name),
            RequestBody::Append(asked) => append::begin(ticket, asked, body, courier),
            RequestBody::Fetch(asked) => fetch::begin(ticket, asked),
            RequestBody::Subscribe(asked) => subscribe::begin(ticket, asked),
            RequestBody::Credit { subscription, bytes } => {
                subscribe::grant(self, subscription, Unit::Bytes, bytes);
            }
            RequestBody::Unsubscribe { subscription } => subscribe::end(ticket, subscription),
            RequestBody::SplitShard(asked) => reshard::split(ticket, asked),
            RequestBody::MergeShards(asked) => reshard::merge(ticket, asked),
            RequestBody::ScaleStream(asked) => reshard::scale(ticket, asked),
            RequestBody::CreateQueue(asked) => create_queue::begin(ticket, asked),
            RequestBody::DescribeQueue(name) => describe_queue::answer(ticket, &name),
            RequestBody::ListQueues(asked) => list_queues::answer(ticket, &asked),
            RequestBody::UpdateQueue(asked) => update_queue::begin(ticket, asked),
            RequestBody::DeleteQueue(name) => delete_queue::begin(ticket, &name),
            RequestBody::SendMessages(asked) => send_messages::begin(ticket, &asked, body),
            RequestBody::ReceiveMessages(asked) => receive_messages::begin(ticket, asked),
            RequestBody::DeleteMessages(asked) => settle_messages::delete(ticket, asked),
            RequestBody::ExtendMessages(asked) => settle_messages::extend(ticket, asked),
            RequestBody::Consume(asked) => consume::begin(ticket, asked),
            RequestBody::MessageCredit(asked) => consume::credit(self, asked),
            RequestBody::PurgeQueue(queue) => count_messages::purge(ticket, queue),
            RequestBody::CountMessages(queue) => count_messages::begin(ticket, queue),
            RequestBody::StartMove(asked) => moves::start(ticket, asked),
            RequestBody::CancelMove { queue, number } => moves::cancel(ticket, queue, number),
            RequestBody::ListMoves(queue) => moves::list(ticket, queue),
            RequestBody::ListDeadLetterSources(asked) => moves::sources(ticket, asked),
        }
        Ok(())
    }

    /// Why a request is not even looked at.
    fn refusal(&self, request: &RequestBody, body_bytes: usize) -> Option<Failure> {
        if self.core().stopping().has_happened() {
            return Some(Failure::new(ErrorCode::ShuttingDown, "the server is going down"));
        }
        let is_hello = matches!(request, RequestBody::Hello(_));
        if is_hello == self.version.get().is_some() {
            let text =
                if is_hello { "the hello was answered before" } else { "the first request must be a hello" };
            return Some(Failure::new(ErrorCode::HelloExpected, text));
        }
        if body_bytes > 0 && !matches!(request, RequestBody::Append(_) | RequestBody::SendMessages(_)) {
            let text = "only an append and a send have bytes behind their message";
            return Some(Failure::new(ErrorCode::InvalidRequest, text).with_limit(body_bytes as u64, 0));
        }
        None
    }
}

/// Whether a request takes memory until it is answered.
fn is_kept(request: &RequestBody) -> bool {
    matches!(
        request,
        RequestBody::Append(_)
            | RequestBody::SendMessages(_)
            | RequestBody::DeleteMessages(_)
            | RequestBody::ExtendMessages(_)
    )
}
