//! Tables of AWS services: operations, shapes, constraints and errors, generated from pruned copies of botocore's service models.
//!
//! A model is taken over once for each new version: `cargo xtask model service-2.json kinesis` drops its documentation, endpoints and examples and writes
//! what is left to `server/model`. From there the tables are made without any tool but rustfmt, so the check of their drift always runs.
//!
//! What a service is called in the query protocol, and the codes of its errors there, may be in an older model than its newest operations are:
//! `--query` names that one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{read, rustfmt};

mod query;

/// The services: pruned model, and the tables made from it.
const SERVICES: &[(&str, &str)] = &[
    ("server/model/kinesis.json", "server/src/protocol/aws/kinesis/model.rs"),
    ("server/model/sqs.json", "server/src/protocol/aws/sqs/model.rs"),
];
/// What is kept of a shape.
const SHAPE_KEYS: &[&str] = &[
    "type",
    "required",
    "members",
    "member",
    "key",
    "value",
    "min",
    "max",
    "pattern",
    "enum",
    "exception",
    "fault",
    "eventstream",
    "flattened",
    "event",
];
const METADATA_KEYS: &[&str] = &["apiVersion", "jsonVersion", "protocol", "serviceId", "targetPrefix"];

/// Takes over a service model: prunes it and writes it into the tree.
///
/// # Errors
/// A file is no service model, or the pruned one could not be written.
pub(crate) fn take_over(
    root: &Path,
    model: &Path,
    service: &str,
    in_query: Option<&Path>,
) -> Result<(), String> {
    let load = |path: &Path| {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        parse(&text)
    };
    let mut pruned = prune(&load(model)?)?;
    if let Some(in_query) = in_query {
        pruned["query"] = query::bindings(&load(in_query)?)?;
    }
    let path = format!("server/model/{service}.json");
    let text = serde_json::to_string_pretty(&pruned).map_err(|error| error.to_string())?;
    fs::write(root.join(&path), format!("{text}\n")).map_err(|error| format!("{path}: {error}"))?;
    println!("{path} written; `cargo xtask codegen` makes the tables");
    Ok(())
}

/// Regenerates the tables of every service.
pub(super) fn write(root: &Path) -> Result<(), String> {
    for (model, tables) in SERVICES {
        let text = generate(root, model)?;
        if fs::read_to_string(root.join(tables)).is_ok_and(|present| present == text) {
            println!("{tables} is up to date");
            continue;
        }
        fs::write(root.join(tables), text).map_err(|error| format!("{tables}: {error}"))?;
        println!("{tables} written");
    }
    Ok(())
}

/// Compares the tables of every service with what their models give.
pub(super) fn check(root: &Path) -> Result<(), String> {
    for (model, tables) in SERVICES {
        if generate(root, model)? != read(root, tables)? {
            return Err(format!("{tables}:1: differs from what {model} gives: {}", super::REMEDY));
        }
    }
    Ok(())
}

fn generate(root: &Path, model: &str) -> Result<String, String> {
    let parsed = parse(&read(root, model)?)?;
    rustfmt(root, &tables(model, &parsed)?)
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no service model: {error}"))
}

/// Keeps operations, shapes and what is said about their values; drops what is said to people.
fn prune(model: &Value) -> Result<Value, String> {
    let metadata = kept(&model["metadata"], METADATA_KEYS);
    let mut operations = Map::new();
    for (name, operation) in entries(model, "operations")? {
        let shape = |part: &Value| part.get("shape").cloned();
        let mut slim = Map::new();
        slim.extend(shape(&operation["input"]).map(|input| ("input".to_owned(), input)));
        slim.extend(shape(&operation["output"]).map(|output| ("output".to_owned(), output)));
        let errors: Vec<Value> = list(&operation["errors"]).iter().filter_map(shape).collect();
        slim.insert("errors".to_owned(), errors.into());
        operations.insert(name.clone(), slim.into());
    }
    let mut shapes = Map::new();
    for (name, shape) in entries(model, "shapes")? {
        let mut slim = kept(shape, SHAPE_KEYS);
        for part in ["member", "key", "value"] {
            if let Some(part) = slim.get_mut(part) {
                *part = part["shape"].take();
            }
        }
        if let Some(Value::Object(members)) = slim.get_mut("members") {
            members.values_mut().for_each(|member| *member = member["shape"].take());
        }
        shapes.insert(name.clone(), slim.into());
    }
    Ok(json!({ "metadata": metadata, "operations": operations, "shapes": shapes }))
}

fn kept(value: &Value, keys: &[&str]) -> Map<String, Value> {
    let object = value.as_object().cloned().unwrap_or_default();
    object.into_iter().filter(|(key, _)| keys.contains(&key.as_str())).collect()
}

/// The tables as Rust source, not formatted yet.
fn tables(path: &str, model: &Value) -> Result<String, String> {
    let shapes: BTreeMap<&String, &Value> = entries(model, "shapes")?.collect();
    let in_query = query::Names::of(model);
    let mut out = format!(
        "//! Operations and shapes of the service, generated by `cargo xtask codegen` from `{path}`.\n\
         //!\n\
         //! Not edited by hand: a check compares it with what the model gives.\n\n\
         {}\n\n\
         /// What the service's targets begin with.\n\
         pub(super) const TARGET: &str = {:?};\n\n\
         /// Every operation, by name.\n\
         pub(in crate::protocol::aws) static OPERATIONS: &[Operation] = &[\n",
        imports(&in_query),
        text(&model["metadata"], "targetPrefix")?
    );
    for (name, operation) in entries(model, "operations")? {
        let input = constant(text(operation, "input")?);
        let output = match operation.get("output").and_then(Value::as_str) {
            Some(output) => format!("Some(&{})", constant(output)),
            None => "None".to_owned(),
        };
        let errors = list(&operation["errors"]);
        let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
        put(
            &mut out,
            format_args!(
                "Operation {{ name: {name:?}, input: &{input}, output: {output}, errors: &{errors:?} }},\n"
            ),
        );
    }
    out.push_str("];\n");
    let is_error = |shape: &Value| shape.get("exception").is_some();
    if let Some(in_query) = &in_query {
        let errors = shapes.iter().filter(|(_, shape)| is_error(shape)).map(|(name, _)| name.as_str());
        out.push_str(&in_query.errors(errors));
    }
    let reached = reached(model, &shapes)?;
    for (name, shape) in
        shapes.iter().filter(|(name, shape)| !is_error(shape) && reached.contains(name.as_str()))
    {
        let is_error = |member: &String| shapes.get(member).is_some_and(|shape| is_error(shape));
        let naming = |member: &str, shape: &str| match &in_query {
            Some(in_query) => {
                in_query.naming(&shapes, name, member, shape).map(|naming| format!("Some({naming})"))
            }
            None => Ok("None".to_owned()),
        };
        let kind = kind(name, shape, &is_error, &naming)?;
        put(
            &mut out,
            format_args!("\nstatic {}: Shape = Shape {{ name: {name:?}, kind: {kind} }};\n", constant(name)),
        );
    }
    Ok(out)
}

/// The shapes that operations lead to; errors lead to others, for which there is no table.
fn reached<'a>(
    model: &'a Value,
    shapes: &BTreeMap<&'a String, &'a Value>,
) -> Result<BTreeSet<&'a str>, String> {
    let ends = entries(model, "operations")?;
    let mut left: Vec<&str> = ends
        .flat_map(|(_, operation)| [operation.get("input"), operation.get("output")])
        .filter_map(|shape| shape?.as_str())
        .collect();
    let mut reached = BTreeSet::new();
    while let Some(name) = left.pop() {
        let shape = shapes.get(&name.to_owned()).ok_or_else(|| format!("there is no shape {name}"))?;
        if shape.get("exception").is_some() || !reached.insert(name) {
            continue;
        }
        let parts = ["member", "key", "value"].into_iter().filter_map(|part| shape.get(part)?.as_str());
        let members = shape["members"].as_object().into_iter().flatten();
        left.extend(parts.chain(members.filter_map(|(_, member)| member.as_str())));
    }
    Ok(reached)
}

/// The words that the tables of a service use.
fn imports(in_query: &Option<query::Names<'_>>) -> String {
    let words: &[&str] = match in_query {
        Some(_) => &["Bounds", "ErrorCode", "Kind", "Member", "Naming", "Operation", "Parts", "Shape"],
        None => &["Bounds", "Kind", "Member", "Operation", "Pattern", "Shape"],
    };
    format!("use crate::protocol::aws::shape::{{{}}};", words.join(", "))
}

fn kind(
    name: &str,
    shape: &Value,
    is_error: &dyn Fn(&String) -> bool,
    naming: &dyn Fn(&str, &str) -> Result<String, String>,
) -> Result<String, String> {
    let reference = |key: &str| Ok::<_, String>(format!("&{}", constant(text(shape, key)?)));
    let bounds = bounds(shape);
    Ok(match text(shape, "type")? {
        "structure" => members(shape, is_error, naming)?,
        "list" => format!("Kind::List({}, {bounds})", reference("member")?),
        "map" => format!("Kind::Map({}, {}, {bounds})", reference("key")?, reference("value")?),
        "string" => match (shape.get("enum"), shape.get("pattern")) {
            (Some(values), _) => {
                let values: Vec<&str> = list(values).iter().filter_map(Value::as_str).collect();
                format!("Kind::Enumeration(&{values:?})")
            }
            (None, Some(_)) => {
                let pattern = text(shape, "pattern")?;
                format!("Kind::Text({bounds}, Some(Pattern::new({pattern:?}, {:?})))", expression(pattern))
            }
            (None, None) => format!("Kind::Text({bounds}, None)"),
        },
        "blob" => format!("Kind::Blob({bounds})"),
        "integer" => format!("Kind::Integer({bounds})"),
        "long" => format!("Kind::Long({bounds})"),
        "boolean" => "Kind::Boolean".to_owned(),
        "timestamp" => "Kind::Timestamp".to_owned(),
        other => return Err(format!("shape {name} has the type {other}, for which there is no table")),
    })
}

/// The members of a structure by name. Errors that are members, as in event streams, are written by their own code.
fn members(
    shape: &Value,
    is_error: &dyn Fn(&String) -> bool,
    naming: &dyn Fn(&str, &str) -> Result<String, String>,
) -> Result<String, String> {
    let required = list(&shape["required"]);
    let mut out = "Kind::Structure(&[".to_owned();
    for (name, member) in entries(shape, "members")? {
        let Value::String(member) = member else { return Err(format!("member {name} names no shape")) };
        if is_error(member) {
            continue;
        }
        let required = required.contains(&Value::String(name.clone()));
        let (shape, naming) = (constant(member), naming(name, member)?);
        put(
            &mut out,
            format_args!(
                "Member {{ name: {name:?}, shape: &{shape}, required: {required}, naming: {naming} }},"
            ),
        );
    }
    out.push_str("])");
    Ok(out)
}

fn bounds(shape: &Value) -> String {
    let bound = |key: &str| match shape.get(key).and_then(Value::as_i64) {
        Some(bound) => format!("Some({bound})"),
        None => "None".to_owned(),
    };
    format!("Bounds {{ min: {}, max: {} }}", bound("min"), bound("max"))
}

/// The model's patterns are Java's: they match whole texts, and their digits are those of ASCII.
fn expression(pattern: &str) -> String {
    format!("^(?:{})$", pattern.replace(r"\d", "[0-9]"))
}

/// `StreamARN` becomes `STREAM_ARN`.
fn constant(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let starts_word = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || letters.get(index + 1).is_some_and(|next| next.is_lowercase())
            });
        if starts_word {
            out.push('_');
        }
        out.extend(letter.to_uppercase());
    }
    out
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a string takes all that is written to it");
}

fn entries<'a>(value: &'a Value, key: &str) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, String> {
    value[key].as_object().map(Map::iter).ok_or_else(|| format!("the model has no {key}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("the model lacks {key} in {value}"))
}
