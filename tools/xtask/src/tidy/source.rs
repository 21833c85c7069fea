//! Rust source as tokens, just well enough for the rules: comments and literals are blanked, the rest is
//! words and marks.
//!
//! Promises that blanking keeps every line where it was. Leaves out macros' meaning: what a macro makes is
//! not seen.

/// A word or a mark, and its line counted from one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

/// The text with the contents of comments, strings and characters replaced by blanks.
pub(super) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = String::with_capacity(text.len());
    let mut position = 0;
    while position < bytes.len() {
        let rest = &text[position..];
        let word_before = position > 0 && is_word(bytes[position - 1]);
        let length = comment(rest).or_else(|| literal(rest, word_before));
        match length {
            Some(length) => {
                let end = position + length.min(rest.len());
                masked.extend(text[position..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
                position = end;
            }
            None => {
                let next = rest.chars().next().expect("the position is inside the text");
                masked.push(next);
                position += next.len_utf8();
            }
        }
    }
    masked
}

/// The words and marks of blanked code; `::` is one mark.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut position = 0;
    while position < bytes.len() {
        let start = position;
        position += 1;
        if is_word(bytes[start]) {
            while position < bytes.len() && is_word(bytes[position]) {
                position += 1;
            }
        } else if code[start..].starts_with("::") {
            position += 1;
        }
        match bytes[start] {
            b'\n' => line += 1,
            b' ' | b'\t' | b'\r' => {}
            _ => tokens.push(Token { text: &code[start..position], line }),
        }
    }
    tokens
}

/// Letters, digits, the underscore, and every byte of a letter outside ASCII, so that a slice never splits
/// one.
fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    let mut position = 0;
    while position < rest.len() {
        let here = &rest.as_bytes()[position..];
        if here.starts_with(b"/*") {
            depth += 1;
            position += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return Some(position);
            }
        } else {
            position += 1;
        }
    }
    Some(rest.len())
}

fn literal(rest: &str, word_before: bool) -> Option<usize> {
    match rest.as_bytes()[0] {
        b'"' => Some(quoted(rest, b'"')),
        b'\'' => character(rest),
        b'r' | b'b' | b'c' if !word_before => raw_string(rest),
        _ => None,
    }
}

/// The length of a quoted literal, both quotes included.
fn quoted(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut position = 1;
    while position < bytes.len() {
        match bytes[position] {
            b'\\' => position += 2,
            byte if byte == quote => return position + 1,
            _ => position += 1,
        }
    }
    rest.len()
}

/// A character literal, told from a lifetime by its closing quote.
fn character(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        return Some(quoted(rest, b'\''));
    }
    let (position, second) = characters.next()?;
    (second == '\'').then_some(position + 1)
}

fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let hashes = rest[prefix.len()..].bytes().take_while(|&byte| byte == b'#').count();
    let open = prefix.len() + hashes;
    if rest.as_bytes().get(open) != Some(&b'"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let end = rest[open + 1..].find(&close).map_or(rest.len(), |found| open + 1 + found + close.len());
    Some(end)
}
