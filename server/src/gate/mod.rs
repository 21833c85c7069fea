//! The one door that every request passes: who may come in, and how much may be inside.
//!
//! [`identity`] holds the access keys that there are. //! [`budget`] holds levels (bytes and connections of a core) and lets nobody in who does not fit. It decides on the numbers it is given, holds no
//! clock, knows nothing of protocols, and bounds what it remembers. Rates are not here: a shard's buckets are state of the shard, so its
//! owner has them (`service::quota`), and a request meets them when it gets there.

pub mod budget;
pub mod identity;
