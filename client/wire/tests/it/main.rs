//! What tests of the whole package need a process of their own for.

mod allocations;
