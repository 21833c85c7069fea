//! Writes the answers of the query protocol: elements in a namespace, with everything escaped that XML would take for something else.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::shape::{Kind, Parts, Shape};
use super::value::Value;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

/// The answer to an action, with its output if it has one.
pub(super) fn write_response(
    namespace: &str,
    action: &str,
    output: Option<(&'static Shape, &Value)>,
    id: &str,
) -> Vec<u8> {
    let mut xml = Xml { out: DECLARATION.as_bytes().to_vec() };
    xml.root(&format!("{action}Response"), namespace, |xml| {
        if let Some((shape, output)) = output {
            xml.element(&format!("{action}Result"), |xml| xml.content(shape, output));
        }
        xml.element("ResponseMetadata", |xml| xml.leaf("RequestId", id));
    });
    xml.out
}

/// A refusal, with its code.
pub(super) fn write_refusal(
    namespace: &str,
    code: &str,
    is_of_sender: bool,
    message: &str,
    id: &str,
) -> Vec<u8> {
    let mut xml = Xml { out: DECLARATION.as_bytes().to_vec() };
    xml.root("ErrorResponse", namespace, |xml| {
        xml.element("Error", |xml| {
            xml.leaf("Type", if is_of_sender { "Sender" } else { "Receiver" });
            xml.leaf("Code", code);
            xml.leaf("Message", message);
            xml.leaf("Detail", "");
        });
        xml.leaf("RequestId", id);
    });
    xml.out
}

struct Xml {
    out: Vec<u8>,
}

impl Xml {
    fn root(&mut self, name: &str, namespace: &str, fill: impl FnOnce(&mut Self)) {
        self.put(&["<", name, " xmlns=\""]);
        self.text(namespace);
        self.put(&["\">"]);
        fill(self);
        self.put(&["</", name, ">"]);
    }

    fn element(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.put(&["<", name, ">"]);
        fill(self);
        self.put(&["</", name, ">"]);
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.element(name, |xml| xml.text(text));
    }

    fn content(&mut self, shape: &'static Shape, value: &Value) {
        match value {
            Value::Boolean(value) => self.put(&[if *value { "true" } else { "false" }]),
            Value::Integer(number) => self.put(&[&number.to_string()]),
            Value::Text(text) => self.text(text),
            Value::Blob(bytes) => self.put(&[&STANDARD.encode(bytes)]),
            Value::Timestamp(time) => {
                let (seconds, ms) = (time.get() / 1_000, time.get() % 1_000);
                write!(self.out, "{seconds}.{ms:03}").expect("memory takes all that is written to it");
            }
            Value::Structure(members) => {
                members.iter().for_each(|(name, value)| self.member(shape, name, value));
            }
            // These are written by the member that they are, which knows their names.
            Value::List(_) | Value::Map(_) => {}
        }
    }

    fn member(&mut self, owner: &'static Shape, name: &str, value: &Value) {
        let Some(member) = owner.member(name) else { return };
        let Some(naming) = &member.naming else { return };
        match (&member.shape.kind, naming.parts, value) {
            (Kind::List(shape, _), Parts::Items, Value::List(items)) => self.items(naming.name, shape, items),
            (Kind::List(shape, _), Parts::Listed(item), Value::List(items)) => {
                self.element(naming.name, |xml| xml.items(item, shape, items));
            }
            (Kind::Map(_, shape, _), Parts::Pairs { key, value }, Value::Map(pairs)) => {
                self.pairs(naming.name, (key, value), shape, pairs);
            }
            (Kind::Map(_, shape, _), Parts::Entries { key, value }, Value::Map(pairs)) => {
                self.element(naming.name, |xml| xml.pairs("entry", (key, value), shape, pairs));
            }
            _ => self.element(naming.name, |xml| xml.content(member.shape, value)),
        }
    }

    fn items(&mut self, name: &str, shape: &'static Shape, items: &[Value]) {
        for item in items {
            self.element(name, |xml| xml.content(shape, item));
        }
    }

    fn pairs(&mut self, name: &str, of: (&str, &str), shape: &'static Shape, pairs: &[(String, Value)]) {
        for (key, value) in pairs {
            self.element(name, |xml| {
                xml.leaf(of.0, key);
                xml.element(of.1, |xml| xml.content(shape, value));
            });
        }
    }

    fn put(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.out.extend_from_slice(piece.as_bytes());
        }
    }

    /// A text of any characters. XML reads a carriage return as a line feed unless it is escaped, and knows no others below a space: those
    /// become the character that stands for what cannot be shown.
    fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.put(&["&amp;"]),
                '<' => self.put(&["&lt;"]),
                '>' => self.put(&["&gt;"]),
                '"' => self.put(&["&quot;"]),
                '\r' => self.put(&["&#xD;"]),
                '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => {
                    self.put(&[character.encode_utf8(&mut [0; 4])]);
                }
                _ => self.put(&["\u{fffd}"]),
            }
        }
    }
}
