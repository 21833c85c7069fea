//! Bodies that are cut into signed chunks (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`).
//!
//! ```text
//! length in hexadecimal ;chunk-signature= 64 digits \r\n
//! data \r\n
//! … and a last chunk of length 0
//! ```
//! Each signature is over the one before and its data's digest; the first is over that of the head. Leaves out what may follow the last chunk: forms with trailers are refused
//! where the head is read.

use bytes::{Bytes, BytesMut};
use futures_lite::future::yield_now;
use hmac::Mac;
use sha2::{Digest, Sha256};

use super::{Checked, DIGEST_BYTES, Hex, SignatureError, Verifier, parse_hex};

/// What a chunk's text begins with before it is signed.
const ALGORITHM: &str = "AWS4-HMAC-SHA256-PAYLOAD";
const SIGNATURE: &str = "chunk-signature=";
const END: &[u8] = b"\r\n";
/// Least data of a chunk that is not the last: as AWS has it, and so a body asks for few signatures.
const CHUNK_BYTES_MIN: usize = 8 << 10;
/// Bytes that are digested before others get their turn: some tens of microseconds, and some hundred without instructions for it.
const STEP_BYTES: usize = 64 << 10;
/// Bytes of a chunk's head: sixteen digits and the signature.
const HEAD_BYTES_MAX: usize = 16 + 1 + SIGNATURE.len() + DIGEST_BYTES * 2;

/// A chunk as it was sent.
struct Chunk {
    data: Bytes,
    signature: [u8; DIGEST_BYTES],
}

impl Checked<'_> {
    /// The data of a body that came in chunks, if each of them is signed. Others get their turn between steps of it.
    pub(super) async fn unchunk(
        &self,
        verifier: &Verifier,
        mut body: Bytes,
    ) -> Result<Bytes, SignatureError> {
        let length = self.head.text("x-amz-decoded-content-length");
        let length: usize = length.and_then(|length| length.parse().ok()).ok_or_else(|| {
            incomplete("A body in chunks needs its length in 'x-amz-decoded-content-length'.")
        })?;
        let (mut before, mut is_last_data) = (self.claim.signature, false);
        let mut whole = Parts::default();
        loop {
            let chunk = Chunk::take(&mut body)?;
            self.check_chunk(verifier, &before, &chunk).await?;
            if chunk.data.is_empty() {
                break;
            }
            if is_last_data {
                return Err(incomplete("Only the last chunk may have less than 8192 bytes."));
            }
            is_last_data = chunk.data.len() < CHUNK_BYTES_MIN;
            before = chunk.signature;
            whole.push(chunk.data);
        }
        if !body.is_empty() {
            return Err(incomplete("Bytes follow the last chunk."));
        }
        let whole = whole.join();
        if whole.len() != length {
            return Err(incomplete(
                "The chunks have another length than 'x-amz-decoded-content-length' says.",
            ));
        }
        Ok(whole)
    }

    async fn check_chunk(
        &self,
        verifier: &Verifier,
        before: &[u8; DIGEST_BYTES],
        chunk: &Chunk,
    ) -> Result<(), SignatureError> {
        let mut data = Sha256::new();
        for step in chunk.data.chunks(STEP_BYTES) {
            data.update(step);
            yield_now().await;
        }
        let data = Hex::of(&data.finalize().into());
        let (before, nothing) = (Hex::of(before), Hex::of(&Sha256::digest([]).into()));
        let mut mac = self.begin_text(verifier, ALGORITHM);
        for piece in [before.text(), "\n", nothing.text(), "\n", data.text()] {
            mac.update(piece.as_bytes());
        }
        // In constant time.
        mac.verify_slice(&chunk.signature).map_err(|_| SignatureError::Mismatch)
    }
}

impl Chunk {
    fn take(body: &mut Bytes) -> Result<Self, SignatureError> {
        let broken = || incomplete("The body is not cut into chunks as 'x-amz-content-sha256' says.");
        let start = body.get(..body.len().min(HEAD_BYTES_MAX + END.len())).unwrap_or_default();
        let end = start.windows(END.len()).position(|window| window == END).ok_or_else(broken)?;
        let head = body.split_to(end);
        let head = std::str::from_utf8(&head).map_err(|_| broken())?;
        let (length, signature) = head.split_once(';').ok_or_else(broken)?;
        let is_digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_hexdigit());
        let length =
            is_digits.then(|| usize::from_str_radix(length, 16).ok()).flatten().ok_or_else(broken)?;
        let signature = signature.strip_prefix(SIGNATURE).and_then(parse_hex).ok_or_else(broken)?;
        let rest = body.len().checked_sub(2 * END.len()).ok_or_else(broken)?;
        if length > rest {
            return Err(broken());
        }
        let _ = body.split_to(END.len());
        let data = body.split_to(length);
        if body.split_to(END.len()) != END {
            return Err(broken());
        }
        Ok(Self { data, signature })
    }
}

/// Data of chunks, which is copied only if there is more than one.
#[derive(Default)]
struct Parts {
    first: Bytes,
    rest: BytesMut,
}

impl Parts {
    fn push(&mut self, data: Bytes) {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
            return;
        }
        if self.rest.is_empty() {
            self.rest.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.rest.extend_from_slice(&data);
    }

    fn join(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

fn incomplete(message: &str) -> SignatureError {
    SignatureError::Incomplete(message.to_owned())
}

#[cfg(test)]
mod tests;
