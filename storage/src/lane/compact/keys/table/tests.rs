//! The last record of each key, in bounded memory.

use super::*;

const OWNER: OwnerId = OwnerId(7);

#[test]
fn keys_of_different_owners_and_tables_have_different_fingerprints() {
    let table = KeyTable::new([1, 2]);
    let print = table.fingerprint(OWNER, b"key");
    assert_eq!(print, table.fingerprint(OWNER, b"key"));
    assert_ne!(print, table.fingerprint(OwnerId(8), b"key"));
    assert_ne!(print, table.fingerprint(OWNER, b"kez"));
    assert_ne!(print, KeyTable::new([1, 3]).fingerprint(OWNER, b"key"));
    let longest = [1; KEY_BYTES_MAX];
    assert_ne!(table.fingerprint(OWNER, &longest), table.fingerprint(OWNER, &longest[1..]));
}

#[test]
fn the_last_record_of_a_key_is_known_and_whether_it_is_alone() {
    let mut table = KeyTable::new([0, 0]);
    let (a, b) = (table.fingerprint(OWNER, b"a"), table.fingerprint(OWNER, b"b"));
    assert_eq!(table.put(a, SequenceNumber(5), 50), None);
    let first = Last { sequence: SequenceNumber(5), bytes: 50, is_alone: true };
    assert_eq!(table.get(&a), Some(&first));
    assert_eq!(table.put(a, SequenceNumber(6), 60), Some(first));
    assert_eq!(table.get(&a), Some(&Last { sequence: SequenceNumber(6), bytes: 60, is_alone: false }));
    table.put(b, SequenceNumber(7), 70);
    assert!(!table.meet(&b, SequenceNumber(7)), "it is the record itself");
    assert!(table.get(&b).is_some_and(|last| last.is_alone));
    assert!(table.meet(&b, SequenceNumber(2)));
    assert!(table.get(&b).is_some_and(|last| !last.is_alone && last.sequence.0 == 7));
    assert!(!table.meet(&table.fingerprint(OWNER, b"c"), SequenceNumber(2)));
    assert_eq!(table.len(), 2);
}

#[test]
fn so_many_keys_fit_so_many_bytes() {
    assert_eq!(KeyTable::keys_max(0), 7);
    assert_eq!(KeyTable::keys_max(32 << 20), (1 << 19) * 7 / 8);
    for bytes in [10_000, 1 << 20, 32 << 20] {
        let mut table = KeyTable::new([0, 0]);
        let keys_max = KeyTable::keys_max(bytes);
        table.keys.reserve(keys_max);
        assert!(
            table.keys.allocation_size() as u64 * 3 / 2 <= bytes + 100,
            "{keys_max} keys in {bytes} bytes"
        );
    }
}
