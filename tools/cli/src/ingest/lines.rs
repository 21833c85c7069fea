//! Cuts blocks of a file into lines without copying them.
//!
//! A line ends with `\n`, or where the file ends; a `\r` before the `\n` belongs to the end and not to the line. An
//! empty line is a line. What comes out is a chunk: one shared block of bytes and the places of its lines, so a line
//! costs eight bytes and no allocation.
//!
//! Invariant: the chunks of a file cover it without gap or overlap (`tests::chunks_cover_the_input`).

#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};
use memchr::{memchr_iter, memrchr};

/// What becomes of a line over the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LongLines {
    /// It becomes several records of at most the bound each, all with the key of the first.
    Split,
    /// The ingest stops before it.
    Refuse,
}

/// A line's place in its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    start: u32,
    /// Without the line's end.
    end: u32,
}

/// Whole lines that follow one another in a file.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    bytes: Bytes,
    lines: Vec<Line>,
    /// Where the chunk begins in its file.
    start: u64,
    /// The first line is a further piece of the last line of the chunk before.
    continues: bool,
}

/// A line is over the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line at byte {offset} is over {limit} bytes")]
pub(crate) struct LineTooLong {
    /// Where it begins in its file.
    pub(crate) offset: u64,
    /// The bound.
    pub(crate) limit: usize,
}

/// Takes blocks, gives chunks.
#[derive(Debug)]
pub(crate) struct Splitter {
    buffer: BytesMut,
    /// Where the buffer begins in the file.
    offset: u64,
    line_bytes_max: usize,
    long_lines: LongLines,
    /// The buffer begins inside a line that was split.
    is_inside_line: bool,
}

impl Chunk {
    /// Number of lines.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// A line as a slice of the block.
    pub(crate) fn line(&self, index: usize) -> &[u8] {
        let Line { start, end } = self.lines[index];
        &self.bytes[start as usize..end as usize]
    }

    /// The block that the lines are slices of.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether a line is a further piece of the one before: only those touch it, a line's end lies between all others.
    pub(crate) fn continues(&self, index: usize) -> bool {
        let before = index.checked_sub(1).and_then(|before| self.lines.get(before));
        before.map_or(self.continues, |before| before.end == self.lines[index].start)
    }

    /// Where a line ends in its file, its newline included.
    pub(crate) fn offset_after(&self, index: usize) -> u64 {
        let after = self.lines.get(index + 1).map_or(self.bytes.len() as u64, |next| next.start.into());
        self.start + after
    }

    /// Where the chunk begins in its file.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// Where the chunk ends in its file.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Splitter {
    /// Begins at an offset of a file.
    pub(crate) fn new(offset: u64, line_bytes_max: usize, long_lines: LongLines) -> Self {
        Self { buffer: BytesMut::new(), offset, line_bytes_max, long_lines, is_inside_line: false }
    }

    /// Where the next read begins in the file.
    pub(crate) fn read_offset(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    /// Where the unfinished line begins in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Lets `read` fill up to `block_bytes`, and returns how many bytes it read and the lines that are whole now.
    pub(crate) fn fill<E: From<LineTooLong>>(
        &mut self,
        block_bytes: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(usize, Option<Chunk>), E> {
        let held = self.buffer.len();
        self.buffer.resize(held + block_bytes, 0);
        let outcome = read(&mut self.buffer[held..]);
        self.buffer.truncate(held + *outcome.as_ref().unwrap_or(&0));
        let bytes = outcome?;
        let chunk = match memrchr(b'\n', &self.buffer[held..]) {
            Some(last) => Some(self.cut(held + last + 1)?),
            None => self.cut_long_line()?,
        };
        Ok((bytes, chunk))
    }

    /// The file ends here: what is left is its last line.
    pub(crate) fn finish(&mut self) -> Result<Option<Chunk>, LineTooLong> {
        if self.buffer.is_empty() { Ok(None) } else { self.cut(self.buffer.len()).map(Some) }
    }

    /// Takes whole pieces from a line whose end has not been read. Two bytes at least stay, so that the end, be it
    /// `\r\n`, never makes a piece of its own.
    fn cut_long_line(&mut self) -> Result<Option<Chunk>, LineTooLong> {
        let pieces = self.buffer.len().saturating_sub(2) / self.line_bytes_max;
        if pieces == 0 {
            return Ok(None);
        }
        let chunk = self.cut(pieces * self.line_bytes_max)?;
        if self.long_lines == LongLines::Refuse {
            return Err(LineTooLong { offset: chunk.start, limit: self.line_bytes_max });
        }
        self.is_inside_line = true;
        Ok(Some(chunk))
    }

    /// Makes the first `length` bytes of the buffer a chunk.
    fn cut(&mut self, length: usize) -> Result<Chunk, LineTooLong> {
        let continues = std::mem::take(&mut self.is_inside_line);
        let block = &self.buffer[..length];
        // Log lines are about this long; a wrong guess costs a few moves.
        let mut lines = Vec::with_capacity(length / 96 + 1);
        let mut start = 0;
        for newline in memchr_iter(b'\n', block) {
            let end = if newline > start && block[newline - 1] == b'\r' { newline - 1 } else { newline };
            self.push(&mut lines, start, end)?;
            start = newline + 1;
        }
        if start < length {
            self.push(&mut lines, start, length)?;
        }
        let bytes = self.buffer.split_to(length).freeze();
        let chunk = Chunk { bytes, lines, start: self.offset, continues };
        self.offset = chunk.end();
        Ok(chunk)
    }

    fn push(&self, lines: &mut Vec<Line>, start: usize, end: usize) -> Result<(), LineTooLong> {
        let place = |at: usize| u32::try_from(at).expect("a block and a line are far below 4 GiB");
        if end - start <= self.line_bytes_max {
            lines.push(Line { start: place(start), end: place(end) });
            return Ok(());
        }
        if self.long_lines == LongLines::Refuse {
            return Err(LineTooLong { offset: self.offset + start as u64, limit: self.line_bytes_max });
        }
        let mut start = start;
        while start < end {
            let next = (start + self.line_bytes_max).min(end);
            lines.push(Line { start: place(start), end: place(next) });
            start = next;
        }
        Ok(())
    }
}
