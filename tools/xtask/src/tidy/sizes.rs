//! The length of files and functions. What is longer has a line in the table with its exact length, which may
//! only shrink.

use super::Finding;
use super::source::tokens;
use super::tables::{
    FILE_LINES_MAX, FUNCTION_LINES_MAX, GENERATED, OVERSIZE, Oversize, TEST_FILE_LINES_MAX,
    TEST_FUNCTION_LINES_MAX,
};
use super::tree::{File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    check_against(tree, OVERSIZE)
}

pub(super) fn check_against(tree: &Tree, exceptions: &[Oversize]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = vec![false; exceptions.len()];
    for file in tree.rust().filter(|file| !GENERATED.contains(&file.path.as_str())) {
        for size in measure(file) {
            let exception =
                exceptions.iter().position(|line| line.path == file.path && line.function == size.function);
            if let Some(index) = exception {
                used[index] = true;
            }
            let allowed = exception.map(|index| exceptions[index].lines);
            findings
                .extend(judge(&size, allowed).map(|message| Finding::new(&file.path, size.line, message)));
        }
    }
    let stale = exceptions.iter().zip(used).filter(|(_, used)| !used);
    findings.extend(stale.map(|(line, _)| {
        Finding::new(line.path, 1, "has a line in OVERSIZE but is not there any more: take the line out")
    }));
    findings
}

struct Size<'a> {
    /// Empty for the file itself.
    function: &'a str,
    line: usize,
    lines: usize,
    limit: usize,
}

fn judge(size: &Size<'_>, allowed: Option<usize>) -> Option<String> {
    let Size { function, lines, limit, .. } = *size;
    let (what, remedy) = if function.is_empty() {
        ("the file".to_owned(), "split it by role")
    } else {
        (format!("function `{function}`"), "move what a step computes into functions below it")
    };
    match allowed {
        None if lines > limit => Some(format!("{what} has {lines} lines, the limit is {limit}: {remedy}")),
        Some(_) if lines <= limit => {
            Some(format!("{what} keeps the limit of {limit} again: take its line out of OVERSIZE"))
        }
        Some(allowed) if lines > allowed => {
            Some(format!("{what} grew from {allowed} lines to {lines}: {remedy}"))
        }
        Some(allowed) if lines < allowed => {
            Some(format!("{what} shrank from {allowed} lines to {lines}: write that into OVERSIZE"))
        }
        _ => None,
    }
}

fn measure(file: &File) -> Vec<Size<'_>> {
    let (file_limit, function_limit) = if file.is_test() {
        (TEST_FILE_LINES_MAX, TEST_FUNCTION_LINES_MAX)
    } else {
        (FILE_LINES_MAX, FUNCTION_LINES_MAX)
    };
    let whole = Size { function: "", line: 1, lines: file.text.lines().count(), limit: file_limit };
    let functions = functions(&file.code).into_iter();
    std::iter::once(whole)
        .chain(functions.map(|(function, line, lines)| Size { function, line, lines, limit: function_limit }))
        .collect()
}

/// Name, first line and number of lines of each function that has a body.
fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (index, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        let named = name.text.starts_with(|first: char| first == '_' || first.is_alphabetic());
        if keyword.text != "fn" || !named {
            continue;
        }
        // The body opens at the first brace outside of all brackets; a semicolon there means that there is
        // none.
        let mut depth = 0_i32;
        let mut braces = 0_i32;
        for token in &tokens[index + 2..] {
            match token.text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                ";" if depth == 0 && braces == 0 => break,
                "{" if braces > 0 || depth == 0 => braces += 1,
                "}" if braces > 0 => braces -= 1,
                _ => continue,
            }
            if token.text == "}" && braces == 0 {
                found.push((name.text, keyword.line, token.line - keyword.line + 1));
                break;
            }
        }
    }
    found
}
