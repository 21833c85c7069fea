//! Amazon Kinesis Data Streams: its operations over the streams of this server.

use super::{Answer, Answering, Aws, Fault, Request};

/// Answers an operation of the service.
pub(super) fn answer<'a>(aws: &'a Aws, operation: &'a str, request: &'a Request<'a>) -> Answering<'a> {
    Box::pin(async move {
        let encoding = request.encoding;
        tracing::debug!(core = aws.core.index(), operation, "unknown operation");
        Answer::refusal(encoding, &Fault::unknown_operation())
    })
}
