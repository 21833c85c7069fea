//! The checksums tell a changed schema and a changed file apart from an untouched pair.

use super::{assemble, check_checksums};

fn check(schema: &str, generated: &str, expected: Result<(), &str>) {
    match (check_checksums(schema, generated), expected) {
        (Ok(()), Ok(())) => {}
        (Err(message), Err(part)) => assert!(message.contains(part), "{message} lacks {part}"),
        (result, expected) => panic!("got {result:?}, expected {expected:?}"),
    }
}

#[test]
fn generated_code_is_bound_to_its_schema_and_to_itself() {
    let generated = assemble("table A {}", "pub mod a {}\n");
    check("table A {}", &generated, Ok(()));
    check("table B {}", &generated, Err("cargo xtask codegen"));
    check("table A {}", &generated.replace("mod a", "mod b"), Err("cargo xtask codegen"));
    check("table A {}", &generated.replace("// crc32", "// crc"), Err("generated.rs:4"));
    check("table A {}", "", Err("no header"));
}
