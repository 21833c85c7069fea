//! The one door that every request passes: what it may cost and how much may be inside.
//!
//! [`quota`] holds rates (bytes and records per second of a shard), [`budget`] holds levels (bytes and
//! requests in flight on a core). Both decide on the numbers they are given, hold no clock, know nothing of
//! protocols, and bound what they remember.

pub mod budget;
pub mod quota;
