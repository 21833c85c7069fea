//! The client against a server in memory that refuses, delays, loses and damages on request.

mod admin;
mod connection;
mod consumer;
mod fake;
mod producer;
mod reconnect;
mod reshard;
