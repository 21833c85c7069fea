//! Room for a request's body, taken before it is read.

use futures_lite::future::or;
use hyper::body::{Body as _, Incoming};
use sha2::{Digest, Sha256};

use super::super::Fault;
use super::Front;
use super::limits::{BODY_COPIES, REQUEST_BYTES, TOO_SLOW};
use super::signature::Sha256Digest;
use crate::gate::budget::{Budget, Permit, Refused};
use crate::net::{ReadBodyError, read_body};
use crate::shard::sleep;

/// A body in memory, with the room that it takes.
pub(super) struct Admitted {
    pub(super) body: bytes::Bytes,
    pub(super) digest: Option<Sha256Digest>,
    pub(super) room: Room,
}

/// Room that was taken; given back when dropped.
pub(super) struct Room {
    budget: Budget,
    permits: Vec<Permit>,
    bytes: u64,
}

/// Why a body was not taken in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the body has more than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("no room for the body: {0}")]
    NoRoom(Refused),
}

impl Front {
    /// Reads a body whole, within the bounds of size, room and time, and digests it on the way if that is asked for.
    pub(super) async fn admit_body(&self, body: &mut Incoming, is_digested: bool) -> Result<Admitted, Fault> {
        let limit = self.settings.http.body_bytes;
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length > limit) {
            return Err(Refusal::TooLarge { limit }.fault());
        }
        let mut room = self.room_for(BODY_COPIES * length.unwrap_or(0) + REQUEST_BYTES).await?;
        let mut hasher = is_digested.then(Sha256::new);
        let read = read_body(body, self.settings.http.body_time, |before, piece| {
            let so_far = before as u64 + piece.len() as u64;
            if so_far > limit {
                return Err(Refusal::TooLarge { limit });
            }
            room.grow_to(BODY_COPIES * so_far + REQUEST_BYTES).map_err(Refusal::NoRoom)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(piece);
            }
            Ok(())
        });
        let body = read.await.map_err(|error| match error {
            ReadBodyError::Refused(refusal) => refusal.fault(),
            ReadBodyError::Slow { .. } => {
                Fault { name: "RequestTimeoutException", status: TOO_SLOW, message: error.to_string().into() }
            }
            ReadBodyError::Broken(_) => Fault::serialization(error.to_string()),
        })?;
        self.core.metrics().received_bytes.add(body.len() as u64);
        // A call may wait long with its body, so it keeps no more than it needs.
        room.shrink_to(BODY_COPIES * body.len() as u64 + REQUEST_BYTES);
        let digest = hasher.map(|hasher| hasher.finalize().into());
        Ok(Admitted { body, digest, room })
    }

    /// Takes room, at the cost of a short wait.
    async fn room_for(&self, bytes: u64) -> Result<Room, Fault> {
        let wait = |refused: Refused| match refused {
            Refused::NoRoom { .. } => self.room.take(bytes),
            refused => Err(refused),
        };
        let permit = match self.room.try_take(bytes) {
            Ok(permit) => Ok(permit),
            Err(refused) => match wait(refused) {
                Ok(place) => {
                    let late = async {
                        sleep(self.settings.http.room_time).await;
                        Err(refused)
                    };
                    or(async { Ok(place.await) }, late).await
                }
                Err(refused) => Err(refused),
            },
        };
        let permit = permit.map_err(|refused| Refusal::NoRoom(refused).fault())?;
        self.core.metrics().inflight_bytes.set(self.room.used());
        Ok(Room { budget: self.room.clone(), permits: vec![permit], bytes })
    }
}

impl Room {
    /// Takes more for a body whose length was not told: as much again as there is, so that it is not asked for often.
    fn grow_to(&mut self, bytes: u64) -> Result<(), Refused> {
        if bytes > self.bytes {
            let more = (bytes - self.bytes).max(self.bytes);
            self.permits.push(self.budget.try_take(more)?);
            self.bytes += more;
        }
        Ok(())
    }

    /// Gives back what is over this amount.
    fn shrink_to(&mut self, bytes: u64) {
        while self.bytes > bytes
            && let Some(mut last) = self.permits.pop()
        {
            let rest = self.bytes - last.amount();
            self.bytes = rest.max(bytes);
            last.shrink_to(self.bytes - rest);
            if last.amount() > 0 {
                self.permits.push(last);
            }
        }
    }
}

impl Refusal {
    fn fault(&self) -> Fault {
        match self {
            Self::TooLarge { .. } => Fault {
                name: "RequestEntityTooLargeException",
                status: 413,
                message: self.to_string().into(),
            },
            Self::NoRoom(_) => Fault::unavailable(self.to_string()),
        }
    }
}
