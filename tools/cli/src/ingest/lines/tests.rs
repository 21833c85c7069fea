//! Lines against a plain model, for every size of block.

use proptest::prelude::*;

use super::{Chunk, LineTooLong, LongLines, Splitter};

/// All chunks of a text that is read in blocks of at most `block_bytes`.
fn chunks(
    text: &[u8],
    block_bytes: usize,
    bound: usize,
    long_lines: LongLines,
) -> Result<Vec<Chunk>, LineTooLong> {
    let mut splitter = Splitter::new(0, bound, long_lines);
    let mut chunks = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (bytes, chunk) = splitter.fill::<LineTooLong>(block_bytes, |buffer| {
            let bytes = buffer.len().min(rest.len());
            buffer[..bytes].copy_from_slice(&rest[..bytes]);
            Ok(bytes)
        })?;
        rest = &rest[bytes..];
        chunks.extend(chunk);
    }
    chunks.extend(splitter.finish()?);
    Ok(chunks)
}

fn lines(chunks: &[Chunk]) -> Vec<Vec<u8>> {
    chunks.iter().flat_map(|chunk| (0..chunk.len()).map(|index| chunk.line(index).to_vec())).collect()
}

/// What the module promises, written as plainly as possible.
fn model(text: &[u8], bound: usize) -> Vec<Vec<u8>> {
    let mut expected = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let newline = rest.iter().position(|byte| *byte == b'\n');
        let mut line = &rest[..newline.unwrap_or(rest.len())];
        rest = &rest[newline.map_or(rest.len(), |at| at + 1)..];
        if newline.is_some() {
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        if line.is_empty() {
            expected.push(Vec::new());
        }
        expected.extend(line.chunks(bound).map(<[u8]>::to_vec));
    }
    expected
}

#[test]
fn ends_of_lines_are_not_part_of_them() {
    let check = |text: &str, expected: &[&str]| {
        let chunks = chunks(text.as_bytes(), 4, 100, LongLines::Refuse).expect("no line is long");
        assert_eq!(
            lines(&chunks),
            expected.iter().map(|line| line.as_bytes()).collect::<Vec<_>>(),
            "{text:?}"
        );
    };
    check("", &[]);
    check("a\nb\n", &["a", "b"]);
    check("a\r\nb\r\n", &["a", "b"]);
    check("a\n\nb", &["a", "", "b"]);
    check("\n", &[""]);
    check("\r\n", &[""]);
    check("a\rb\r", &["a\rb\r"]);
}

#[test]
fn long_lines_are_split_or_refused() {
    let text = b"ok\n0123456789\r\nok\n";
    let split = chunks(text, 3, 4, LongLines::Split).expect("long lines are split");
    assert_eq!(lines(&split), [&b"ok"[..], b"0123", b"4567", b"89", b"ok"]);
    let continued: Vec<bool> =
        split.iter().flat_map(|chunk| (0..chunk.len()).map(|index| chunk.continues(index))).collect();
    assert_eq!(continued, [false, false, true, true, false]);
    for block_bytes in [1, 3, 100] {
        let refused = chunks(text, block_bytes, 4, LongLines::Refuse).expect_err("the second line is long");
        assert_eq!(refused, LineTooLong { offset: 3, limit: 4 });
    }
}

proptest! {
    #[test]
    fn lines_are_those_of_the_model(
        text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>()], 0..200),
        block_bytes in 1_usize..40,
        bound in 1_usize..20,
    ) {
        let chunks = chunks(&text, block_bytes, bound, LongLines::Split).expect("long lines are split");
        prop_assert_eq!(lines(&chunks), model(&text, bound));
    }

    #[test]
    fn chunks_cover_the_input(
        text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'a')], 0..200),
        block_bytes in 1_usize..40,
    ) {
        let chunks = chunks(&text, block_bytes, 5, LongLines::Split).expect("long lines are split");
        let mut offset = 0;
        for chunk in &chunks {
            prop_assert_eq!(chunk.start(), offset);
            let ends: Vec<u64> = (0..chunk.len()).map(|index| chunk.offset_after(index)).collect();
            prop_assert!(ends.is_sorted());
            prop_assert_eq!(ends.last().copied(), Some(chunk.end()));
            offset = chunk.end();
        }
        prop_assert_eq!(offset, text.len() as u64);
    }
}
