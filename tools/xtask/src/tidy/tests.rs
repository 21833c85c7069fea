//! Each rule on small trees, what it accepts beside what it refuses; and at the end the rules on the real
//! tree.

use super::source::{mask, tokens};
use super::tables::Oversize;
use super::tree::{File, Tree};
use super::{Finding, homes, imports, layout, links, packages, scripts, sizes, words};

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::new(files.iter().map(|(path, text)| File::new(path, text)).collect())
}

/// Compares findings, as `path:line` and a part of the message, with what a rule says.
#[track_caller]
fn check(findings: &[Finding], expected: &[&str]) {
    let told: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        let (place, part) =
            expected.split_once(' ').expect("an expectation is a place and a part of the message");
        assert!(told.starts_with(&format!("{place}: ")) && told.contains(part), "{told} is not {expected}");
    }
}

#[track_caller]
fn check_mask(text: &str, expected: &[&str]) {
    let masked = mask(text);
    assert_eq!(masked.lines().count(), text.lines().count(), "{masked}");
    let words: Vec<&str> = tokens(&masked).into_iter().map(|token| token.text).collect();
    assert_eq!(words, expected);
}

#[test]
fn comments_and_literals_are_blanked() {
    check_mask("a // b\nc", &["a", "c"]);
    check_mask("a /* b /* c */ d\n */ e", &["a", "e"]);
    check_mask(r#"a("b \" c", 'd', '\'', '\u{1F600}', 'é')"#, &["a", "(", ",", ",", ",", ",", ")"]);
    check_mask("a::<'b>(r#\"c \" d\"#) br\"e\" var\"f\"", &["a", "::", "<", "'", "b", ">", "(", ")", "var"]);
    check_mask("größe \"ß\" x", &["größe", "x"]);
    check_mask("a \"open", &["a"]);
    check_mask("a /* open", &["a"]);
    check_mask("a '", &["a", "'"]);
}

#[test]
fn tokens_know_their_line() {
    let lines: Vec<usize> = tokens("a\n\n b::c\nd").into_iter().map(|token| token.line).collect();
    assert_eq!(lines, [1, 3, 3, 3, 4]);
}

#[test]
fn the_top_level_and_the_opening_of_files_are_checked() {
    let required: Vec<(&str, &str)> =
        super::tables::TOP_LEVEL_REQUIRED.iter().map(|name| (*name, "")).collect();
    check(&layout::check(&tree(&required)), &[]);
    let files =
        [&required[1..], &[("scripts/a.py", ""), ("deny.toml", ""), ("a/b.rs", "fn a() {}")]].concat();
    let found = layout::check(&tree(&files));
    check(
        &found,
        &["a:1 top level", "scripts:1 top level", ".cargo:1 missing", "a/b.rs:1 does not open with `//!`"],
    );
}

fn function(name: &str, lines: usize) -> String {
    format!(
        "fn {name}(a: [u8; 4]) -> u8\nwhere\n    A: B,\n{{\n{}}}\n",
        "    let brace = '{';\n".repeat(lines - 5)
    )
}

#[test]
fn long_functions_are_refused() {
    let text = format!("trait T {{ fn none(&self); }}\n{}{}", function("short", 70), function("long", 71));
    check(&sizes::check_against(&tree(&[("a.rs", &text)]), &[]), &["a.rs:72 `long` has 71 lines"]);
    check(&sizes::check_against(&tree(&[("a/tests.rs", &text)]), &[]), &[]);
    check(
        &sizes::check_against(&tree(&[("a/tests/it/b.rs", &function("long", 121))]), &[]),
        &["a/tests/it/b.rs:1 has 121"],
    );
}

#[test]
fn long_files_are_refused_and_exceptions_only_shrink() {
    let line = |lines| Oversize { path: "a.rs", function: "", lines };
    let of = |lines: usize| tree(&[("a.rs", &"\n".repeat(lines))]);
    check(&sizes::check_against(&of(500), &[]), &[]);
    check(&sizes::check_against(&of(501), &[]), &["a.rs:1 has 501 lines, the limit is 500"]);
    check(&sizes::check_against(&of(600), &[line(600)]), &[]);
    check(&sizes::check_against(&of(601), &[line(600)]), &["a.rs:1 grew"]);
    check(&sizes::check_against(&of(599), &[line(600)]), &["a.rs:1 shrank"]);
    check(&sizes::check_against(&of(400), &[line(600)]), &["a.rs:1 take its line out"]);
    check(&sizes::check_against(&tree(&[]), &[line(600)]), &["a.rs:1 not there any more"]);
    let generated = tree(&[("client/wire/src/generated.rs", &"\n".repeat(5000))]);
    check(&sizes::check_against(&generated, &[]), &[]);
}

/// The findings in one file of a server that has the usual folders.
#[track_caller]
fn check_import(path: &str, text: &str, expected: &[&str]) {
    let mut files = vec![(path, text)];
    let others = [
        "server/src/boot.rs",
        "server/src/protocol/mod.rs",
        "server/src/protocol/native/mod.rs",
        "server/src/protocol/aws/mod.rs",
        "server/src/protocol/aws/kinesis/mod.rs",
        "server/src/protocol/aws/sqs/mod.rs",
        "server/src/gate/mod.rs",
        "server/src/service/mod.rs",
        "server/src/service/clock.rs",
        "server/src/service/clock/tests.rs",
        "server/src/service/queue/mod.rs",
        "server/src/service/stream/mod.rs",
        "server/src/service/stream/append.rs",
    ];
    files.extend(others.iter().filter(|other| **other != path).map(|other| (*other, "")));
    check(&imports::check(&tree(&files)), expected);
}

#[test]
fn layers_look_to_the_right() {
    check_import("server/src/boot.rs", "use crate::{protocol::native, gate, service::queue::Q};", &[]);
    check_import("server/src/lib.rs", "pub mod boot; use crate::protocol::native;", &[]);
    check_import("server/src/gate/mod.rs", "use crate::shard::A;\nuse crate::VERSION;", &[]);
    check_import(
        "server/src/gate/mod.rs",
        "use crate::shard::A;\nuse crate::{config, protocol::B};",
        &["server/src/gate/mod.rs:2 `protocol::B`"],
    );
    check_import(
        "server/src/shard/a.rs",
        "fn a() { crate::gate::b(); }",
        &["server/src/shard/a.rs:1 `gate::b`"],
    );
    check_import(
        "server/src/shard/a.rs",
        "fn a() { super::super::gate::b(); }",
        &["server/src/shard/a.rs:1 `gate::b`"],
    );
    check_import("server/src/shard/a.rs", "// crate::gate::b\npub(in crate::shard) fn a() {}", &[]);
    check_import("server/src/engine/a.rs", "", &["server/src/engine/a.rs:1 no layer and no leaf"]);
}

#[test]
fn leaves_name_no_layer_and_few_packages() {
    check_import(
        "server/src/service/stream/append.rs",
        "use crate::{metrics::A, config::B, limits::C};",
        &[],
    );
    check_import("server/src/net/a.rs", "use crate::config::B; use bytes::Bytes;", &[]);
    check_import("server/src/net/a.rs", "use crate::shard::A;", &["server/src/net/a.rs:1 leaf"]);
    check_import(
        "server/src/net/a.rs",
        "use tidemill_storage::Lane;",
        &["server/src/net/a.rs:1 `tidemill_storage`"],
    );
    check_import("server/src/metrics/a.rs", "use tidemill_storage::LaneStats;", &[]);
    check_import("server/src/shard/a.rs", "use tidemill_storage::Lane;", &[]);
}

#[test]
fn neighbours_do_not_see_each_other() {
    let append = "server/src/service/stream/append.rs";
    check_import(
        append,
        "use super::error::E; use crate::service::stream::A; use crate::service::{B, clock::C};",
        &[],
    );
    check_import(
        append,
        "use crate::service::queue;",
        &["server/src/service/stream/append.rs:1 neighbour `service::queue`"],
    );
    check_import(append, "use super::super::queue::A;", &["server/src/service/stream/append.rs:1 neighbour"]);
    check_import(
        append,
        "mod inner {\n use super::super::super::queue::A; }\nuse super::super::queue as q;",
        &[
            "server/src/service/stream/append.rs:2 neighbour",
            "server/src/service/stream/append.rs:3 neighbour",
        ],
    );
    check_import(
        "server/src/service/mod.rs",
        "mod queue; use self::queue::Q; use crate::service::stream::S;",
        &[],
    );
    check_import("server/src/service/clock/tests.rs", "use super::A; use crate::service::B;", &[]);
    let kinesis = "server/src/protocol/aws/kinesis/put.rs";
    check_import(kinesis, "use crate::protocol::{aws::Signature, Registry};", &[]);
    check_import(
        kinesis,
        "use crate::protocol::{aws::{A, sqs::B}, native};",
        &[
            "server/src/protocol/aws/kinesis/put.rs:1 let `protocol::aws` hold",
            "server/src/protocol/aws/kinesis/put.rs:1 let `protocol` hold",
        ],
    );
}

#[track_caller]
fn check_manifest(path: &str, text: &str, expected: &[&str]) {
    check(&packages::check(&tree(&[(path, text)])), expected);
}

#[test]
fn scripts_are_read_by_bash_and_are_strict() {
    let whole = "#!/usr/bin/env bash\nset -euo pipefail\nif true; then\n    echo yes\nfi\n";
    let open = whole.replace("fi\n", "fo\n");
    let lenient = whole.replace("set -euo pipefail\n", "");
    check(&scripts::check(&tree(&[("a.sh", whole), ("b/run", whole)])), &[]);
    let found = scripts::check(&tree(&[("a.sh", &lenient), ("b/run", &open), ("c.txt", &open[1..])]));
    check(&found, &["a.sh:1 goes on after a failure", "b/run:6 syntax error"]);
}

#[test]
fn packages_build_on_what_the_table_says() {
    check_manifest("server/Cargo.toml", "[dependencies]\ntidemill-storage.workspace = true", &[]);
    check_manifest("bench/Cargo.toml", "[dev-dependencies]\ntidemill-server.workspace = true", &[]);
    check_manifest(
        "bench/Cargo.toml",
        "[dependencies]\ntidemill-server.workspace = true",
        &["bench/Cargo.toml:2 `tidemill-server`"],
    );
    check_manifest(
        "client/wire/Cargo.toml",
        "[target.'cfg(unix)'.build-dependencies]\ntidemill-storage = { workspace = true }",
        &["client/wire/Cargo.toml:2 `tidemill-storage`"],
    );
    check_manifest(
        "storage/Cargo.toml",
        "[dependencies]\nbytes = \"1\"",
        &["storage/Cargo.toml:2 own version"],
    );
    check_manifest("extra/Cargo.toml", "", &["extra/Cargo.toml:1 PACKAGES"]);
    check_manifest("bench/peers/driver/Cargo.toml", "[dependencies]\nredis = \"1\"", &[]);
    check_manifest("Cargo.toml", "[workspace]\nexclude = [\"bench/peers/driver\"]", &[]);
    check_manifest("Cargo.toml", "[workspace]\nexclude = [\"extra\"]", &["Cargo.toml:2 OUTSIDERS"]);
    check_manifest("storage/Cargo.toml", "= 1", &["storage/Cargo.toml:1 not TOML"]);
}

#[test]
fn lint_files_repeat_those_at_the_root() {
    let root = ("clippy.toml", "disallowed-types = [{ path = \"A\" }]");
    let more = "disallowed-types = [{ path = \"A\" }, { path = \"B\" }]\ndisallowed-methods = []";
    check(&packages::check(&tree(&[root, ("storage/clippy.toml", more)])), &[]);
    check(
        &packages::check(&tree(&[root, ("storage/clippy.toml", "")])),
        &["storage/clippy.toml:1 repeat it"],
    );
}

#[track_caller]
fn check_home(path: &str, text: &str, expected: &[&str]) {
    check(&homes::check_crates(&tree(&[(path, text)])), expected);
}

#[test]
fn crates_are_named_in_their_homes() {
    check_home("storage/src/disk/map.rs", "use memmap2::MmapRaw;", &[]);
    check_home("storage/src/lane.rs", "// memmap2::Mmap\nlet memmap2 = a.memmap2; b::redb::c();", &[]);
    check_home(
        "storage/src/lane.rs",
        "fn a() {\n memmap2::Mmap::map() }",
        &["storage/src/lane.rs:2 `memmap2`"],
    );
    check_home("server/src/gate/a.rs", "use glommio as g;", &["server/src/gate/a.rs:1 `glommio`"]);
    check_home("server/src/gate/a.rs", "#[tokio::main]", &["server/src/gate/a.rs:1 `tokio`"]);
    check_home("server/src/gate/a.rs", "use {bytes::Bytes, redb::A};", &["server/src/gate/a.rs:1 `redb`"]);
}

#[test]
fn unsafe_code_stands_in_listed_files() {
    let files = tree(&[("a.rs", "//! unsafe\n#![allow(unsafe_code)]"), ("b.rs", "\nunsafe { c() }")]);
    check(&homes::check_unsafe_against(&files, &["b.rs"]), &[]);
    check(&homes::check_unsafe_against(&files, &[]), &["b.rs:2 UNSAFE_HOMES"]);
    check(&homes::check_unsafe_against(&files, &["b.rs", "a.rs"]), &["a.rs:1 take its line out"]);
}

#[track_caller]
fn check_words(text: &str, expected: &[&str]) {
    check(&words::check(&tree(&[("a.md", text)])), expected);
}

#[test]
fn words_of_unfinished_work_are_refused() {
    check_words("a\n// TODO: b", &["a.md:2 `TODO`"]);
    check_words("Mastodon, todo, TODOS, xxx", &[]);
    check_words("todo = \"warn\"\ndbg_macro = 1\nmy_todo!()", &[]);
    check_words("todo!()\ndbg!(a)", &["a.md:1 `todo!`", "a.md:2 `dbg!`"]);
    check_words("For now, b. Not yet implemented.", &["a.md:1 `for now`", "a.md:1 `not yet"]);
    check_words("wait for nowhere", &[]);
    check_words("#[ignore = \"b\"]", &["a.md:1 `#[ignore`"]);
}

#[track_caller]
fn check_links(text: &str, expected: &[&str]) {
    let files = [("docs/a/b.md", text), ("docs/c.md", ""), ("docs/a/d.md", ""), ("LICENSE", "")];
    check(&links::check(&tree(&files)), expected);
}

#[test]
fn links_lead_somewhere() {
    check_links(
        "[c](../c.md#x), [d](d.md), [e](../../LICENSE), [f](https://x.y/z.md), [g](#h), [i](..), [j](/docs/c.md)",
        &[],
    );
    check_links(
        "[c](c.md)\n[d](d.md \"D\") [e](../../../c.md)",
        &["docs/a/b.md:1 `c.md`", "docs/a/b.md:2 `../../../c.md`"],
    );
    check_links("```\n[c](c.md)\n```\n`[c](c.md)` and [d](e.md)", &["docs/a/b.md:4 `e.md`"]);
    check_links("[label]: c.md\n[other]: ../c.md", &["docs/a/b.md:1 `c.md`"]);
}

#[test]
fn the_real_tree_keeps_the_rules() {
    let tree = Tree::read(&crate::process::root()).expect("the tree is readable");
    let findings: Vec<String> = super::check(&tree).iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "`cargo xtask tidy` finds:\n{}", findings.join("\n"));
}
