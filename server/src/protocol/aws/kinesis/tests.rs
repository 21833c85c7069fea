//! The service on one real core: its lane on disk, its catalog in memory, calls and answers without HTTP.

mod control;
mod records;
mod reshard;
mod served;
mod tables;
