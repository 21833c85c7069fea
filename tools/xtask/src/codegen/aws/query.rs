//! What services are called in the query protocol: names of parameters and elements, and codes of errors.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{entries, text};

/// Names that no model in the query protocol has, for they are younger than it: what AWS's documentation calls the items of a list.
const YOUNGER: &[(&str, &str)] = &[("MessageSystemAttributeList", "MessageSystemAttributeName")];

/// The status of errors of which the model says nothing.
const STATUS: u64 = 400;

/// Keeps the names of a model of the query protocol.
pub(super) fn bindings(model: &Value) -> Result<Value, String> {
    let mut shapes = Map::new();
    let mut errors = Map::new();
    for (name, shape) in entries(model, "shapes")? {
        if let Some(error) = shape.get("error") {
            errors.insert(name.clone(), json!({ "code": error["code"], "status": error["httpStatusCode"] }));
            continue;
        }
        let mut slim = kept(shape);
        for part in ["member", "key", "value"] {
            slim.extend(
                shape
                    .get(part)
                    .map(kept)
                    .filter(|kept| !kept.is_empty())
                    .map(|kept| (part.to_owned(), kept.into())),
            );
        }
        let members = shape["members"].as_object().into_iter().flatten();
        let members = members.map(|(name, member)| (name.clone(), kept(member)));
        let members: Map<String, Value> =
            members.filter(|(_, kept)| !kept.is_empty()).map(|(name, kept)| (name, kept.into())).collect();
        slim.extend((!members.is_empty()).then(|| ("members".to_owned(), members.into())));
        if !slim.is_empty() {
            shapes.insert(name.clone(), slim.into());
        }
    }
    Ok(json!({ "namespace": text(&model["metadata"], "xmlNamespace")?, "shapes": shapes, "errors": errors }))
}

fn kept(value: &Value) -> Map<String, Value> {
    super::kept(value, &["flattened", "locationName"])
}

/// The names of a service.
pub(super) struct Names<'a>(&'a Value);

impl<'a> Names<'a> {
    /// Those of a service that speaks the query protocol.
    pub(super) fn of(model: &'a Value) -> Option<Self> {
        model.get("query").map(Self)
    }

    /// Namespace, version and codes of errors, as Rust.
    pub(super) fn errors<'e>(&self, errors: impl Iterator<Item = &'e str>) -> String {
        let mut out = format!(
            "\n/// What answers in the query protocol are named in.\npub(super) const NAMESPACE: &str = {:?};\n\n\
             /// Every error, by name.\npub(super) static ERRORS: &[ErrorCode] = &[\n",
            self.0["namespace"].as_str().unwrap_or_default()
        );
        for name in errors {
            let known = &self.0["errors"][name];
            let code = known["code"].as_str().unwrap_or(name);
            let status = known["status"].as_u64().unwrap_or(STATUS);
            writeln!(out, "ErrorCode {{ name: {name:?}, code: {code:?}, status: {status} }},")
                .expect("a string takes all that is written to it");
        }
        out.push_str("];\n");
        out
    }

    /// How a member of a shape is written, as Rust.
    pub(super) fn naming(
        &self,
        shapes: &BTreeMap<&String, &Value>,
        owner: &str,
        member: &str,
        shape: &str,
    ) -> Result<String, String> {
        let known = &self.0["shapes"];
        let (in_owner, of_shape) = (&known[owner]["members"][member], &known[shape]);
        let what = shapes.get(&shape.to_owned()).ok_or_else(|| format!("there is no shape {shape}"))?;
        let is_flat = [in_owner, of_shape, what].iter().any(|place| place["flattened"] == true);
        let own = in_owner["locationName"].as_str().or(of_shape["locationName"].as_str()).unwrap_or(member);
        let part = |part: &str| of_shape[part]["locationName"].as_str();
        let (name, parts) = match text(what, "type")? {
            "list" => {
                let younger = YOUNGER.iter().find(|(list, _)| *list == shape).map(|(_, item)| *item);
                let item = part("member").or(younger);
                match (is_flat, item) {
                    (true, item) => (item.unwrap_or(own), "Parts::Items".to_owned()),
                    (false, item) => (own, format!("Parts::Listed({:?})", item.unwrap_or("member"))),
                }
            }
            "map" => {
                let (key, value) = (part("key").unwrap_or("key"), part("value").unwrap_or("value"));
                let form = if is_flat { "Pairs" } else { "Entries" };
                (own, format!("Parts::{form} {{ key: {key:?}, value: {value:?} }}"))
            }
            "timestamp" => {
                return Err(format!(
                    "{owner}.{member} is a moment, of which the query protocol has no form here"
                ));
            }
            _ => (own, "Parts::Whole".to_owned()),
        };
        Ok(format!("Naming {{ name: {name:?}, parts: {parts} }}"))
    }
}
