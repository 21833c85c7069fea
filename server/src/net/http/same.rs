//! A port whose every answer is the same, whatever it is asked: what HTTP alone takes.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;

use super::body::Body;
use super::connection::{HttpPort, ServeError};
use super::read::discard_body;
use crate::net::Socket;

/// Longer than anybody measures.
const BODY_TIME: Duration = Duration::from_secs(3_600);

/// Serves a connection to its end: reads each body away and answers.
pub async fn serve_same(port: &HttpPort, socket: Socket, answer: Bytes) -> Result<(), ServeError> {
    let answering = move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = answer.clone();
        async move {
            discard_body(request.into_body(), u64::MAX, BODY_TIME).await;
            hyper::Response::new(Body::new(answer))
        }
    };
    port.serve(socket, pending(), answering).await
}
