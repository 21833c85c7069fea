//! The service on one real core: its lane on disk, its catalog in memory, calls and answers without HTTP.

mod capacity;
mod consumers;
mod control;
mod queues;
mod record_sizes;
mod records;
mod reshard;
mod served;
mod subscriptions;
mod tables;
