//! The parts of `tidemill demo`: which logs, and what was in them.

mod generator;
pub(crate) mod source;
pub(crate) mod tally;
