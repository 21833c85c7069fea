//! A structure of a JSON body, for inputs that are read without a tree of values.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// What is written with names. Serde's own readers of structures take a list of the members as well, which no model knows.
#[derive(Debug)]
pub(super) struct Structure<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Structure<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(Named(PhantomData))
    }
}

struct Named<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Named<T> {
    type Value = Structure<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a structure")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Structure)
    }
}

/// Bodies for properties that hold a reader of its own against the one of all shapes.
#[cfg(test)]
pub(super) mod bodies {
    use proptest::prelude::*;

    /// A member's name, and what a body in order has under it.
    pub(in super::super) type Member = (&'static str, BoxedStrategy<String>);

    /// One of these texts of JSON.
    pub(in super::super) fn of(values: &'static [&'static str]) -> BoxedStrategy<String> {
        prop::sample::select(values).prop_map(str::to_owned).boxed()
    }

    /// Values of the wrong kind, or of the right one.
    fn wild() -> BoxedStrategy<String> {
        of(&[
            "null",
            "true",
            "1",
            "-1.5",
            "\"\"",
            "\"q\"",
            "\"YWI=\"",
            "{}",
            "[]",
            "[null]",
            "[\"q\"]",
            "{\"Id\":1}",
        ])
    }

    /// A structure of these members: mostly in order, now and then with a member too few, a value of the wrong kind, a name nobody knows, or as a list of the values.
    pub(in super::super) fn structure(members: Vec<Member>) -> BoxedStrategy<String> {
        let member = |(name, good): Member| {
            let value = prop_oneof![12 => good.prop_map(Some), 1 => wild().prop_map(Some), 2 => Just(None)];
            value.prop_map(move |value| (name, value)).boxed()
        };
        let members: Vec<_> = members.into_iter().map(member).collect();
        let write = |(members, form): (Vec<(&str, Option<String>)>, u32)| match form {
            0 => {
                let values = members.into_iter().map(|(_, value)| value.unwrap_or("null".to_owned()));
                format!("[{}]", values.collect::<Vec<_>>().join(","))
            }
            _ => {
                let pair = |(name, value): (&str, Option<String>)| Some(format!("\"{name}\":{}", value?));
                let mut pairs: Vec<String> = members.into_iter().filter_map(pair).collect();
                if form == 1 {
                    pairs.insert(0, "\"New\":[{\"Id\":[]}]".to_owned());
                }
                format!("{{{}}}", pairs.join(" , "))
            }
        };
        (members, 0..12_u32).prop_map(write).boxed()
    }

    /// A list of up to so many of these.
    pub(in super::super) fn list(item: BoxedStrategy<String>, most: usize) -> BoxedStrategy<String> {
        let items = prop::collection::vec(item, 0..=most);
        items.prop_map(|items| format!("[{}]", items.join(","))).boxed()
    }
}
