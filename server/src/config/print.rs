//! The configuration for people: the effective one as TOML with docs and origins, and the reference table.

use std::fmt::Write;

use super::error::Origin;
use super::knob::{Knob, Shape};
use super::knobs::{KNOBS, SECTIONS};
use super::sources::Effective;
use super::value::Value;

/// One line of the effective configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `section.name`.
    pub key: String,
    /// The value, as one would write it.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
    /// What the knob does.
    pub doc: &'static str,
}

impl Effective {
    /// Every knob with its value and origin, in the order of the table.
    pub fn entries(&self) -> Vec<Entry> {
        let values = self.config.to_values();
        let lines = KNOBS.iter().zip(&values).zip(&self.origins);
        lines
            .map(|((knob, value), origin)| Entry {
                key: knob.key(),
                value: knob.shape.show(value),
                origin: origin.clone(),
                doc: knob.doc.trim(),
            })
            .collect()
    }

    /// The effective configuration as a TOML file that loads to the same values, with the doc, the range, the
    /// default and the origin of each in comments.
    pub fn to_toml(&self) -> String {
        let values = self.config.to_values();
        let mut out = String::new();
        for (section, doc) in SECTIONS {
            let gap = if out.is_empty() { "" } else { "\n" };
            push(&mut out, format_args!("{gap}# {}\n[{section}]\n", doc.trim()));
            let lines = KNOBS.iter().zip(&values).zip(&self.origins);
            for ((knob, value), origin) in lines.filter(|((knob, _), _)| knob.section == *section) {
                push(&mut out, format_args!("# {}\n", knob.doc.trim()));
                push(&mut out, format_args!("# {}; default {}\n", knob.shape.expected(), knob.default));
                let assigned = toml_value(knob, value);
                push(&mut out, format_args!("{} = {assigned} # from {origin}\n", knob.name));
            }
        }
        out
    }
}

/// The table of all knobs in Markdown, for `docs/OPERATIONS.md`.
pub fn reference() -> String {
    let mut out = String::from("| Knob | Default | Values | What it does |\n|---|---|---|---|\n");
    for knob in KNOBS {
        let (key, values) = (knob.key(), knob.shape.expected());
        push(&mut out, format_args!("| `{key}` | `{}` | {values} | {} |\n", knob.default, knob.doc.trim()));
    }
    out
}

fn toml_value(knob: &Knob, value: &Value) -> String {
    match (value, knob.shape) {
        (Value::Number(number), Shape::Count { .. }) => number.to_string(),
        (Value::Switch(on), _) => on.to_string(),
        (value, shape) => toml::Value::String(shape.show(value)).to_string(),
    }
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.write_fmt(line).expect("writing to a string cannot fail");
}
