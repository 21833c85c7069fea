//! What the server speaks: one folder for each protocol, all over the same services.

pub mod admin;
pub mod aws;
pub mod native;
