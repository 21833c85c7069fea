//! The tables agree with themselves and with the handlers.

use super::super::super::shape::{Kind, Operation, Shape};
use super::super::{HANDLERS, handler, model};

/// Every shape that an operation leads to.
fn visit(shape: &'static Shape, seen: &mut Vec<&'static str>, look: &mut dyn FnMut(&'static Shape)) {
    if seen.contains(&shape.name) {
        return;
    }
    seen.push(shape.name);
    look(shape);
    match &shape.kind {
        Kind::Structure(members) => members.iter().for_each(|member| visit(member.shape, seen, look)),
        Kind::List(member, _) => visit(member, seen, look),
        Kind::Map(key, value, _) => {
            visit(key, seen, look);
            visit(value, seen, look);
        }
        _ => {}
    }
}

#[test]
fn tables_are_sorted_and_every_handler_has_its_operation() {
    assert!(model::OPERATIONS.is_sorted_by(|a, b| a.name < b.name));
    assert!(HANDLERS.is_sorted_by(|a, b| a.0 < b.0));
    for (name, _) in HANDLERS {
        assert!(Operation::find(model::OPERATIONS, name).is_some(), "{name}");
        assert!(handler(name).is_some(), "{name}");
    }
    assert_eq!(model::OPERATIONS.len(), 57);
}

#[test]
fn every_pattern_compiles_and_members_are_sorted() {
    let mut seen = Vec::new();
    let mut patterns = 0;
    for operation in model::OPERATIONS {
        for shape in [Some(operation.input), operation.output].into_iter().flatten() {
            visit(shape, &mut seen, &mut |shape| {
                assert!(shape.members().is_sorted_by(|a, b| a.name < b.name), "{}", shape.name);
                if let Kind::Text(_, Some(pattern)) = &shape.kind {
                    // Compiles it; no shape allows these three together.
                    assert!(!pattern.matches(" :*"), "{}", shape.name);
                    patterns += 1;
                }
            });
        }
    }
    assert!(seen.len() > 200 && patterns > 15, "{} shapes, {patterns} patterns", seen.len());
}

#[test]
fn the_page_lists_the_operations_as_they_are() {
    let page = include_str!("../../../../../../docs/protocol/kinesis.md");
    let (_, rest) = page.split_once("<!-- operations: begin -->\n").expect("the page has the table");
    let (table, _) = rest.split_once("<!-- operations: end -->").expect("the table ends");
    assert_eq!(table, operations(), "put this into docs/protocol/kinesis.md:\n{}", operations());
}

/// The table of operations as the page has it.
fn operations() -> String {
    let mut table = "| Operation | Served |\n|---|---|\n".to_owned();
    for operation in model::OPERATIONS {
        let served = if handler(operation.name).is_some() { "yes" } else { "refused" };
        table.push_str(&format!("| {} | {served} |\n", operation.name));
    }
    table
}
