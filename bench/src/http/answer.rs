//! Where an answer of HTTP/1.1 ends: its status, and a body of a length that is told or in chunks.
//!
//! Reads what a generator needs to know and nothing else. Bytes of a server may be anything: what is not understood is an error.

/// The most that an answer's head may have.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most that an answer's body, or a chunk of it, may have.
const BODY_BYTES_MAX: usize = 64 << 20;
/// The most that the line before a chunk may have: its length, and extensions that nobody sends.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// An answer that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It begins with something else.
    #[error("{found:?} is no status line of HTTP/1.1")]
    Status {
        /// How it begins.
        found: String,
    },
    /// Its head does not end.
    #[error("a head of more than {limit} bytes")]
    Head {
        /// The most that it may have.
        limit: usize,
    },
    /// Its length is not told, or not understood.
    #[error("a body whose length is told as {found:?}, at most {limit} bytes are taken")]
    Length {
        /// As told.
        found: String,
        /// The most that it may have.
        limit: usize,
    },
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// So many bytes.
    Whole(usize),
    /// Chunks until an empty one.
    Chunks,
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of the head, with the empty line behind it.
    pub(crate) bytes: usize,
    pub(crate) form: Form,
}

/// Reads a head, or nothing while it is not whole.
pub(crate) fn head(received: &[u8]) -> Result<Option<Head>, HttpError> {
    let window = received.get(..HEAD_BYTES_MAX).unwrap_or(received);
    let Some(end) = memchr::memmem::find(window, b"\r\n\r\n") else {
        let is_over = received.len() >= HEAD_BYTES_MAX;
        return if is_over { Err(HttpError::Head { limit: HEAD_BYTES_MAX }) } else { Ok(None) };
    };
    let text = String::from_utf8_lossy(window.get(..end).unwrap_or_default());
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| HttpError::Status { found: line.to_owned() })?;
    let mut form = Form::Whole(0);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            form = Form::Whole(length(value, 10)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            form = Form::Chunks;
        }
    }
    Ok(Some(Head { status, bytes: end + 4, form }))
}

/// Reads the line before a chunk: its own length and that of the chunk, or nothing while it is not whole.
pub(crate) fn chunk(received: &[u8]) -> Result<Option<(usize, usize)>, HttpError> {
    let window = received.get(..CHUNK_LINE_BYTES_MAX).unwrap_or(received);
    let Some(end) = memchr::memmem::find(window, b"\r\n") else {
        let found = || String::from_utf8_lossy(window).into_owned();
        let refusal = || HttpError::Length { found: found(), limit: BODY_BYTES_MAX };
        return if received.len() >= CHUNK_LINE_BYTES_MAX { Err(refusal()) } else { Ok(None) };
    };
    let line = String::from_utf8_lossy(window.get(..end).unwrap_or_default());
    let digits = line.split(';').next().unwrap_or_default().trim();
    Ok(Some((end + 2, length(digits, 16)?)))
}

fn length(text: &str, radix: u32) -> Result<usize, HttpError> {
    let number = usize::from_str_radix(text, radix).ok().filter(|bytes| *bytes <= BODY_BYTES_MAX);
    number.ok_or_else(|| HttpError::Length { found: text.to_owned(), limit: BODY_BYTES_MAX })
}

#[cfg(test)]
mod tests;
