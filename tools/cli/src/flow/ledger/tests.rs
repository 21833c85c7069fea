//! What a reader may and may not find.

use super::{Ledger, Reading};
use crate::flow::FlowError;
use crate::flow::plan::StreamPlan;

const MEAN: u64 = 100;

fn ledger(bytes: Option<u64>, age_seconds: Option<u64>) -> Ledger {
    let age = age_seconds.map(std::time::Duration::from_secs);
    Ledger::new(1, &StreamPlan { name: "test", age, bytes, rates: vec![1.0] }, 0, MEAN)
}

/// Sends records of these indexes, and acknowledges each with its number.
fn sent(ledger: &Ledger, records: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, Vec<u8>)> {
    let send = |(index, sequence)| {
        let mut data = Vec::new();
        let sent = ledger.send(index, &mut data);
        ledger.acknowledge(sent, sequence, data.len() as u64).expect("a new number");
        (sequence, data)
    };
    records.map(send).collect()
}

fn read(ledger: &Ledger, records: &[(u64, Vec<u8>)]) -> Result<Reading, FlowError> {
    let mut reading = Reading::default();
    ledger.read(&mut reading, records.iter().map(|(sequence, data)| (*sequence, data)))?;
    ledger.finish(&reading, ledger.end())?;
    Ok(reading)
}

#[test]
fn what_was_acknowledged_has_to_be_there_once_in_order_and_unchanged() {
    let ledger = ledger(None, Some(3600));
    let records = sent(&ledger, (0..100).map(|n| (n, n)));
    assert_eq!(read(&ledger, &records).expect("all is right").records, 100);
    let spoilt = |spoil: fn(&mut Vec<(u64, Vec<u8>)>)| {
        let mut records = records.clone();
        spoil(&mut records);
        read(&ledger, &records).expect_err("something is wrong").to_string()
    };
    assert!(spoilt(|records| drop(records.remove(50))).contains("hole"));
    assert!(spoilt(|records| drop(records.pop())).contains("gone"));
    assert!(spoilt(|records| drop(records.drain(..40))).contains("gone"));
    assert!(spoilt(|records| records[7].1[30] ^= 1).contains("other bytes"));
    assert!(spoilt(|records| records[7].1 = records[6].1.clone()).contains("sent after"));
    assert!(spoilt(|records| records[7].1 = records[8].1.clone()).contains("which has this number"));
    assert!(spoilt(|records| records.insert(7, records[6].clone())).contains("repetition"));
}

#[test]
fn what_was_never_acknowledged_may_be_there_or_not() {
    let ledger = ledger(None, Some(3600));
    let mut records = sent(&ledger, [(0, 0), (1, 1)].into_iter());
    let mut data = Vec::new();
    ledger.send(2, &mut data);
    read(&ledger, &records).expect("it is not there");
    records.push((2, data));
    // The next one has a number behind it.
    records.extend(sent(&ledger, [(3, 3)].into_iter()));
    assert_eq!(read(&ledger, &records).expect("it is there").records, 4);
}

#[test]
fn what_retention_may_take_may_be_gone() {
    let bounded = ledger(Some(10_000), None);
    let records = sent(&bounded, (0..1_000).map(|n| (n, n)));
    read(&bounded, &records[500..]).expect("more than enough was sent since");
    assert!(read(&bounded, &records[995..]).is_err(), "a shard keeps its bytes");
    let aged = ledger(None, Some(0));
    let records = sent(&aged, (0..1_000).map(|n| (n, n)));
    read(&aged, &records[999..]).expect("all are over their time");
}

#[test]
fn a_number_is_given_once() {
    let ledger = ledger(None, Some(3600));
    sent(&ledger, (0..10).map(|n| (n, n)));
    let again = ledger.send(10, &mut Vec::new());
    let error = ledger.acknowledge(again, 9, 1).expect_err("it was given before");
    assert!(error.to_string().contains("given before"), "{error}");
}
