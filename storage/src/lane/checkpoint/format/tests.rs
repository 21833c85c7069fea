//! What a checkpoint says comes back, and no other bytes are one.

use proptest::prelude::*;

use super::*;

const LANE: LaneId = LaneId(7);

fn span(segment: SegmentId, first: u64, bytes: u64, is_sealed: bool) -> Span {
    Span {
        segment,
        first: SequenceNumber(first),
        next: SequenceNumber(first + 10),
        first_time: Timestamp(first * 5),
        last_time: Timestamp(first * 5 + 3),
        payload_bytes: bytes,
        first_point: 3,
        point_count: u32::from(is_sealed) * 2,
    }
}

fn listed() -> BTreeMap<SegmentId, Listed> {
    let listed = |first, last, spans| Listed {
        place: Place { first, last },
        spans,
        live_payload_bytes: spans * 100,
        payload_bytes: 1 << 40,
    };
    [(4, listed(4, 4, 2)), (9, listed(1, 3, 0)), (5, listed(5, 5, 1))].into_iter().collect()
}

/// Owners: spans in the listed segments and behind them, whether retention cut them.
fn encode(owners: &[(u64, u64, u64, bool)]) -> Vec<u8> {
    let mut encoder = Encoder::new(LANE, &listed());
    for (id, inside, behind, is_cut) in owners {
        let mut spans = Spans::default();
        (0..*inside).for_each(|n| spans.push_back(&span(4 + n, n * 10, 50, true)));
        (*inside..inside + behind).for_each(|n| spans.push_back(&span(20 + n, n * 10, 7, false)));
        let next = SequenceNumber((inside + behind) * 10);
        let owner = Owner::of_checkpoint(next, 21, inside * 50 + behind * 7, *is_cut, spans);
        encoder.add(OwnerId(*id), &owner, &listed());
        encoder.close_part();
    }
    encoder.finish().concat()
}

#[test]
fn golden_checkpoint() {
    let mut spans = Spans::default();
    spans.push_back(&span(4, 30, 50, true));
    let owner = Owner::of_checkpoint(SequenceNumber(40), 4, 50, true, spans);
    let listed = [(4, listed()[&4])].into_iter().collect();
    let mut encoder = Encoder::new(LANE, &listed);
    encoder.add(OwnerId(0x0102), &owner, &listed);
    let bytes = encoder.finish().concat();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let numbers =
        |numbers: &[u64]| numbers.iter().map(|number| hex(&number.to_le_bytes())).collect::<String>();
    let body = numbers(&[4, 4, 4, 2, 200, 1 << 40])
        + &numbers(&[0x0102, 40, 4, 50, 1 | 1 << 32])
        + &numbers(&[4, 30, 40, 150, 153, 50, 3 | 2 << 32]);
    assert_eq!(hex(&bytes[64..]), body);
    let header = "5449444543484b50".to_owned()
        + &hex(&crc32fast::hash(&bytes[12..64]).to_le_bytes())
        + "0100000007000000"
        + &hex(&crc32fast::hash(&bytes[64..]).to_le_bytes())
        + &numbers(&[1, 1, bytes.len() as u64 - 64])
        + &"00".repeat(16);
    assert_eq!(hex(&bytes[..64]), header);
}

proptest! {
    #[test]
    fn owners_come_back_without_what_is_behind(
        owners in prop::collection::btree_map(any::<u64>(), (0_u64..3, 0_u64..3, any::<bool>()), 0..20),
    ) {
        let owners: Vec<_> =
            owners.into_iter().map(|(id, (inside, behind, is_cut))| (id, inside, behind, is_cut)).collect();
        let bytes = encode(&owners);
        let checkpoint = decode(&bytes, LANE).expect("it was just made");
        prop_assert_eq!(&checkpoint.listed, &listed());
        prop_assert_eq!(checkpoint.owners.len(), owners.len());
        for ((found, owner), (id, inside, _, is_cut)) in checkpoint.owners.iter().zip(&owners) {
            prop_assert_eq!(found.0, *id);
            prop_assert_eq!(owner.next.0, inside * 10);
            prop_assert_eq!(owner.planned, owner.next);
            prop_assert_eq!(owner.payload_bytes, inside * 50);
            prop_assert_eq!(owner.is_cut, *is_cut);
            prop_assert!(owner.spans.iter().eq((0..*inside).map(|n| span(4 + n, n * 10, 50, true))));
            // Who else tells its number is known only of what is listed.
            prop_assert_eq!(owner.mention, if *inside > 0 { 3 + inside } else { 0 });
        }
        prop_assert!(decode(&bytes, LaneId(8)).is_none());
    }

    #[test]
    fn other_bytes_are_no_checkpoint(place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut bytes = encode(&[(1, 2, 1, true), (2, 0, 0, false)]);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(!is_whole(&bytes));
        bytes[place] ^= 1 << bit;
        prop_assert!(is_whole(&bytes) && !is_whole(&bytes[..place]));
    }
}
