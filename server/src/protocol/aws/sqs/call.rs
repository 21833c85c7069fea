//! One call on its way: what its operation needs of the server, and the queues in its input.

use std::rc::Rc;
use std::sync::Arc;

use tidemill_wire::Timestamp;

use super::super::seal::Seal;
use super::super::value::Value;
use super::super::{Aws, Caller, Fault, Identity};
use super::error::{invalid_receipt, no_queue};
use super::names::{parse_url, queue_arn, queue_of_arn, queue_url};
use super::token::open_receipt;
use crate::service::queue::{Chores, Definition, QueueName, Receipt};
use crate::shard::Core;

/// One call, in whatever protocol.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// The protocols on this core.
    pub(super) aws: &'a Aws,
    /// Who calls.
    pub(super) caller: &'a Caller,
    /// How the caller has named the server.
    pub(super) origin: &'a str,
}

impl<'a> Call<'a> {
    /// The core.
    pub(super) fn core(self) -> &'a Rc<Core> {
        &self.aws.core
    }

    /// Who this server is.
    pub(super) fn identity(self) -> &'a Identity {
        self.aws.identity()
    }

    /// What is going on beside calls.
    pub(super) fn chores(self) -> &'a Chores {
        self.aws.core.chores()
    }

    /// What tokens are made with.
    pub(super) fn seal(self) -> &'a Seal {
        &self.aws.seal
    }

    /// The time of day.
    pub(super) fn now(self) -> Timestamp {
        self.core().now()
    }

    /// A queue's ARN.
    pub(super) fn arn(self, name: &QueueName) -> String {
        queue_arn(self.identity(), name.as_str())
    }

    /// A queue's URL, for this caller.
    pub(super) fn url(self, name: &QueueName) -> String {
        queue_url(self.origin, &self.identity().account, name.as_str())
    }

    /// The queue whose URL is in an input.
    pub(super) fn queue(self, input: &Value) -> Result<Arc<Definition>, Fault> {
        self.queue_of_url(input.get_text("QueueUrl").unwrap_or_default())
    }

    /// The queue of this URL.
    pub(super) fn queue_of_url(self, url: &str) -> Result<Arc<Definition>, Fault> {
        let (account, name) = parse_url(url).ok_or_else(|| {
            Fault::of_caller("InvalidAddress", format!("The address {url} is not valid for this endpoint."))
        })?;
        if account != self.identity().account {
            return Err(no_queue());
        }
        self.named(name).ok_or_else(no_queue)
    }

    /// The queue of this name.
    pub(super) fn named(self, name: &str) -> Option<Arc<Definition>> {
        QueueName::new(name).ok().and_then(|name| self.core().queue_named(&name))
    }

    /// The queue of this ARN.
    pub(super) fn of_arn(self, arn: &str) -> Option<Arc<Definition>> {
        self.named(queue_of_arn(self.identity(), arn)?)
    }

    /// The receipt in a handle, of a message of this queue.
    pub(super) fn receipt(self, queue: &Definition, handle: &str) -> Result<Receipt, Fault> {
        let receipt = open_receipt(self.seal(), handle).filter(|receipt| receipt.queue == queue.id);
        receipt.ok_or_else(|| invalid_receipt(handle))
    }
}
