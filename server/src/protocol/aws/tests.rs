//! Properties of both encodings, over every operation of the tables.

use bytes::Bytes;
use proptest::prelude::*;
use tidemill_wire::Timestamp;

use super::cbor::CborOutput;
use super::check::check;
use super::json::JsonOutput;
use super::output::Output;
use super::shape::{Bounds, Kind, Operation, Shape};
use super::value::Value;
use super::{cbor, json, kinesis, sqs};

/// The operations of every service.
fn operations() -> impl Iterator<Item = &'static Operation> {
    kinesis::OPERATIONS.iter().chain(sqs::OPERATIONS)
}

/// A splitmix64 sequence.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn length(&mut self, bounds: Bounds) -> u64 {
        let min = bounds.min.and_then(|min| u64::try_from(min).ok()).unwrap_or(0);
        min + self.below(3)
    }
}

/// A value of a shape, which may break its constraints.
pub(super) fn value_of(shape: &'static Shape, chance: &mut Chance) -> Value {
    match &shape.kind {
        Kind::Structure(members) => {
            let chosen =
                members.iter().filter(|member| member.required || chance.below(2) == 0).collect::<Vec<_>>();
            Value::Structure(
                chosen.into_iter().map(|member| (member.name, value_of(member.shape, chance))).collect(),
            )
        }
        Kind::List(member, bounds) => {
            Value::List((0..chance.length(*bounds)).map(|_| value_of(member, chance)).collect())
        }
        Kind::Map(_, value, bounds) => {
            let keys = 0..chance.length(*bounds);
            Value::Map(keys.map(|key| (format!("key\n{key}"), value_of(value, chance))).collect())
        }
        Kind::Text(bounds, _) => {
            let letters = ['a', '"', '\\', '\u{7}', 'ü', '\u{1F30A}', '/', '0'];
            let length = chance.length(*bounds);
            let letter = |chance: &mut Chance| letters[usize::try_from(chance.below(8)).expect("below 8")];
            Value::Text((0..length).map(|_| letter(chance)).collect())
        }
        Kind::Enumeration(values) => {
            let at = usize::try_from(chance.below(values.len() as u64)).expect("below a length");
            Value::Text(values[at].to_owned())
        }
        Kind::Blob(bounds) => {
            let bytes: Vec<u8> = (0..chance.length(*bounds))
                .map(|_| u8::try_from(chance.below(256)).expect("a byte"))
                .collect();
            Value::Blob(Bytes::from(bytes))
        }
        Kind::Integer(_) => Value::Integer(i64::try_from(chance.below(1 << 20)).expect("small") - 99),
        Kind::Long(_) => Value::Integer(i64::try_from(chance.below(1 << 60)).expect("in range") - 99),
        Kind::Boolean => Value::Boolean(chance.below(2) == 0),
        Kind::Timestamp => Value::Timestamp(Timestamp(chance.below(1 << 42))),
    }
}

fn encode(value: &Value) -> (Vec<u8>, Vec<u8>) {
    let (mut json, mut cbor) = (JsonOutput::with_capacity(0), CborOutput::with_capacity(0));
    json.value(value);
    cbor.value(value);
    (json.finish(), cbor.finish())
}

proptest! {
    // Each case takes every operation.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn values_are_read_as_they_were_written(seed in any::<u64>()) {
        let mut chance = Chance(seed);
        for operation in operations() {
            for shape in [Some(operation.input), operation.output].into_iter().flatten() {
                let value = value_of(shape, &mut chance);
                let (json, cbor) = encode(&value);
                prop_assert_eq!(json::decode(shape, &json), Ok(value.clone()));
                prop_assert_eq!(cbor::decode(shape, &cbor), Ok(value.clone()));
                // Whatever the value, the check ends with a word about it.
                let _ = check(shape, &value);
            }
        }
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(
        seed in any::<u64>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut chance = Chance(seed);
        for operation in operations() {
            let (mut json, mut cbor) = encode(&value_of(operation.input, &mut chance));
            for bytes in [&mut json, &mut cbor] {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(if cut { at } else { bytes.len() });
            }
            for value in [json::decode(operation.input, &json), cbor::decode(operation.input, &cbor)].into_iter().flatten() {
                let _ = check(operation.input, &value);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for operation in operations() {
            let _ = json::decode(operation.input, &bytes);
            let _ = cbor::decode(operation.input, &bytes);
        }
    }
}

#[test]
fn nesting_is_bounded_where_nothing_is_known() {
    let shape = kinesis::OPERATIONS[0].input;
    let refused = |outcome: Result<Value, super::Fault>| outcome.expect_err("it is too deep").name;
    for depth in [200, 100_000] {
        // What JSON's reader skips, it skips without recursion.
        let json = format!("{{\"Unknown\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(json::decode(shape, json.as_bytes()), Ok(Value::Structure(Vec::new())));
        let cbor = [&b"\xa1\x67Unknown"[..], &vec![0x81; depth], b"\x00"].concat();
        assert_eq!(refused(cbor::decode(shape, &cbor)), "SerializationException");
    }
    let cbor = [&b"\xa1\x67Unknown"[..], &[0x81; 100], b"\x00"].concat();
    assert_eq!(cbor::decode(shape, &cbor), Ok(Value::Structure(Vec::new())));
}

#[test]
fn more_values_than_any_input_has_are_refused() {
    let operation = operations().find(|operation| operation.name == "RemoveTagsFromStream");
    let shape = operation.expect("an operation of the model").input;
    let json = format!("{{\"TagKeys\":[{}\"\"]}}", "\"\",".repeat(70_000));
    assert_eq!(json::decode(shape, json.as_bytes()).expect_err("too many").name, "SerializationException");
    let cbor = [&b"\xa1\x67TagKeys\x9f"[..], &[0x60; 70_000], b"\xff"].concat();
    assert_eq!(cbor::decode(shape, &cbor).expect_err("too many").name, "SerializationException");
}

#[test]
fn the_wire_forms_are_those_of_aws() {
    let value = Value::structure([
        ("Blob", Some(Value::Blob(Bytes::from_static(b"ab")))),
        ("Time", Some(Value::Timestamp(Timestamp(1_700_000_000_050)))),
    ]);
    let (json, cbor) = encode(&value);
    assert_eq!(json, br#"{"Blob":"YWI=","Time":1700000000.050}"#);
    assert_eq!(cbor, b"\xa2\x64Blob\x42ab\x64Time\xc1\x1b\x00\x00\x01\x8b\xcf\xe5\x68\x32");
}
