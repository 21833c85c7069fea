//! Queues as such: create, describe, list, change, delete.

use tidemill_wire::QueueName;
use tidemill_wire::limits::LIST_QUEUES_MAX;
use tidemill_wire::message::{
    CreateQueue, ListQueues, QueueChange, QueueDescription, QueueSummary, RequestBody, ResponseBody,
    UpdateQueue,
};

use super::Admin;
use crate::ClientError;
use crate::ask::Repeat;
use crate::connection::Answer;

/// A page of a list of queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePage {
    /// In order of their names.
    pub queues: Vec<QueueSummary>,
    /// Whether there are more after the last one.
    pub more: bool,
}

impl Admin {
    /// Creates a queue: a FIFO queue if its name ends in `.fifo`. One that is there already is the answer if all that `settings` says is so.
    pub async fn create_queue(
        &self,
        name: &QueueName,
        settings: QueueChange,
    ) -> Result<QueueDescription, ClientError> {
        let body = RequestBody::CreateQueue(CreateQueue { name: name.clone(), settings });
        self.queue(body, "create queue", Repeat::Harmless).await
    }

    /// A queue as it is now, without what is in it.
    pub async fn describe_queue(&self, name: &QueueName) -> Result<QueueDescription, ClientError> {
        let body = RequestBody::DescribeQueue(name.clone());
        self.queue(body, "describe queue", Repeat::Harmless).await
    }

    /// At most `limit` queues (the server may return fewer) whose names begin with `prefix` and follow `after`, in order of their names.
    pub async fn list_queues_page(
        &self,
        prefix: &str,
        after: Option<&QueueName>,
        limit: u32,
    ) -> Result<QueuePage, ClientError> {
        let limit = limit.clamp(1, LIST_QUEUES_MAX);
        let list = ListQueues { prefix: prefix.to_owned(), after: after.cloned(), limit };
        match self.request(RequestBody::ListQueues(list), Repeat::Harmless).await? {
            (_, Answer { body: ResponseBody::QueueList { queues, more }, .. }) => {
                Ok(QueuePage { queues, more })
            }
            (connection, answer) => Err(connection.misfit("list queues", &answer.body)),
        }
    }

    /// All queues whose names begin with `prefix`, in order of their names. What is created or deleted meanwhile may be in the list or not.
    pub async fn list_queues(&self, prefix: &str) -> Result<Vec<QueueSummary>, ClientError> {
        let mut all: Vec<QueueSummary> = Vec::new();
        loop {
            let after = all.last().map(|queue| queue.name.clone());
            let page = self.list_queues_page(prefix, after.as_ref(), LIST_QUEUES_MAX).await?;
            // A page that does not go on ends the list too, whatever it says.
            let goes_on = page.queues.last().is_some_and(|last| Some(&last.name) > after.as_ref());
            all.extend(page.queues);
            if !page.more || !goes_on {
                return Ok(all);
            }
        }
    }

    /// Changes what `settings` names, all at once, and returns the queue as it is then.
    pub async fn update_queue(
        &self,
        name: &QueueName,
        settings: QueueChange,
    ) -> Result<QueueDescription, ClientError> {
        let body = RequestBody::UpdateQueue(UpdateQueue { name: name.clone(), settings });
        self.queue(body, "update queue", Repeat::Harmless).await
    }

    /// Deletes a queue and its messages. When the answer is lost, describe the queue to see what happened.
    pub async fn delete_queue(&self, name: &QueueName) -> Result<(), ClientError> {
        self.expect_done(RequestBody::DeleteQueue(name.clone()), "delete queue", Repeat::NotOnceSent).await
    }

    async fn queue(
        &self,
        body: RequestBody,
        request: &'static str,
        repeat: Repeat,
    ) -> Result<QueueDescription, ClientError> {
        match self.request(body, repeat).await? {
            (_, Answer { body: ResponseBody::QueueDescription(queue), .. }) => Ok(queue),
            (connection, answer) => Err(connection.misfit(request, &answer.body)),
        }
    }
}
