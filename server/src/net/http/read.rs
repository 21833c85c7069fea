//! Reads the body of a request, within bounds of bytes and time.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_lite::future::{or, poll_once};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadBodyError<E> {
    /// It did not come in time.
    #[error("the body did not arrive within {} s", time.as_secs())]
    Slow {
        /// The time it had.
        time: Duration,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("the body is broken: {0}")]
    Broken(hyper::Error),
    /// Whoever reads it wants no more.
    #[error(transparent)]
    Refused(E),
}

/// Reads a body to its end. `admit` sees every piece before it is kept, with the length so far, and may refuse it.
pub async fn read_body<E>(
    body: &mut Incoming,
    time: Duration,
    mut admit: impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<Bytes, ReadBodyError<E>> {
    let mut read = pin!(collect(body, &mut admit));
    // Most bodies come together with their heads, and need no timer.
    if let Some(done) = poll_once(read.as_mut()).await {
        return done;
    }
    let late = async {
        glommio::timer::Timer::new(time).await;
        Err(ReadBodyError::Slow { time })
    };
    or(read, late).await
}

/// Reads a body that nobody wants to its end, or until it has had its bytes or its time.
pub async fn discard_body(mut body: Incoming, bytes_max: u64, time: Duration) {
    let read = async {
        let mut left = bytes_max;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let mut read = pin!(read);
    if poll_once(read.as_mut()).await.is_none() {
        let late = async {
            glommio::timer::Timer::new(time).await;
        };
        or(read, late).await;
    }
}

async fn collect<E>(
    body: &mut Incoming,
    admit: &mut impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<Bytes, ReadBodyError<E>> {
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        // Trailers mean nothing to us.
        let Ok(piece) = frame.map_err(ReadBodyError::Broken)?.into_data() else { continue };
        admit(first.len() + rest.len(), &piece).map_err(ReadBodyError::Refused)?;
        if first.is_empty() && rest.is_empty() {
            first = piece;
            continue;
        }
        if rest.is_empty() {
            let left = usize::try_from(body.size_hint().lower()).unwrap_or(0);
            rest.reserve(first.len() + piece.len() + left);
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&piece);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
