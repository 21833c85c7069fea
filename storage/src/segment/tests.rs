//! Codecs of the segment's own structures: golden bytes, round trips, and bytes that mean nothing.

use proptest::prelude::*;
use tidemill_wire::{LaneId, OwnerId, SequenceNumber, Timestamp};

use super::{
    footer::{OWNER_ROW_BYTES, OwnerRow, POINT_BYTES, Point, RowFormat, decode_owner_table},
    header::{SegmentHeader, StructureError},
    *,
};

#[test]
fn file_names_and_ids_lead_to_each_other() {
    let directory = Path::new("/data/lane");
    let name = |id| segment_path(directory, id).file_name().map(|name| name.to_string_lossy().into_owned());
    for id in [0, 1, 255, u64::MAX] {
        assert_eq!(name(id).as_deref().and_then(segment_id_of), Some(id));
    }
    for name in [
        "",
        ".segment",
        "1.segment",
        "00000000000000AB.segment",
        "+000000000000001.segment",
        "0000000000000001.preparing",
    ] {
        assert_eq!(segment_id_of(name), None, "{name}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header() -> SegmentHeader {
    SegmentHeader {
        lane: LaneId(3),
        id: 0x0102,
        segment_bytes: 1 << 28,
        created: Timestamp(1_767_225_600_000),
        covers: None,
        is_sparse: false,
    }
}

fn trailer() -> Trailer {
    Trailer {
        id: 0x0102,
        rows: RowFormat::Checked(0x0102),
        entries_end: 0x5000,
        footer_position: 0x6000,
        owner_count: 2,
        point_count: 3,
        owners_crc: 0xaabb_ccdd,
        points_crc: 0x1122_3344,
        entry_count: 9,
        first_time: Timestamp(1000),
        last_time: Timestamp(2000),
    }
}

#[test]
fn golden_segment_header() {
    let page = header().encode();
    assert_eq!(page.len(), 4096);
    assert!(page[64..].iter().all(|byte| *byte == 0));
    let expected = "544944454d534547".to_owned()
        + &hex(&crc32fast::hash(&page[12..64]).to_le_bytes())
        + "01000000030000000000000002010000000000000000001000000000"
        + "00a8da769b010000"
        + &"00".repeat(16);
    assert_eq!(hex(&page[..64]), expected);
}

#[test]
fn golden_header_of_a_compacted_segment() {
    let compacted = SegmentHeader { covers: Some(Place { first: 3, last: 0x0101 }), ..header() };
    let page = compacted.encode();
    let expected = "02000000030000000000000002010000000000000000001000000000".to_owned()
        + "00a8da769b0100000300000000000000"
        + "0101000000000000";
    assert_eq!(hex(&page[12..64]), expected);
    assert_eq!(SegmentHeader::decode(&page), Ok(compacted));
    let sparse = SegmentHeader { is_sparse: true, ..compacted };
    let page = sparse.encode();
    assert_eq!(hex(&page[12..64]), expected.replacen("02", "03", 1));
    assert_eq!(SegmentHeader::decode(&page), Ok(sparse));
    for place in [Place { first: 5, last: 4 }, Place { first: 1, last: 0x0102 }] {
        let page = SegmentHeader { covers: Some(place), ..header() }.encode();
        assert_eq!(SegmentHeader::decode(&page), Err(StructureError::Fields), "{place:?}");
    }
}

#[test]
fn golden_trailer() {
    let plain = Trailer { rows: RowFormat::Plain, ..trailer() };
    for (trailer, version) in [(trailer(), "02000000"), (plain, "01000000")] {
        let page = trailer.encode();
        assert_eq!(page.len(), 4096);
        let expected = "544944454d454e44".to_owned()
            + &hex(&crc32fast::hash(&page[12..96]).to_le_bytes())
            + version
            + "0201000000000000"
            + "0050000000000000"
            + "0060000000000000"
            + "0200000003000000"
            + "ddccbbaa44332211"
            + "0900000000000000"
            + "e803000000000000d007000000000000"
            + &"00".repeat(16);
        assert_eq!(hex(&page[..96]), expected);
        assert_eq!(Trailer::decode(&page, 1 << 20), Ok(trailer));
    }
}

#[test]
fn every_flipped_bit_of_a_header_or_trailer_is_noticed() {
    for bit in 0..64 * 8 {
        let mut page = header().encode();
        page[bit / 8] ^= 1 << (bit % 8);
        assert!(SegmentHeader::decode(&page).is_err(), "bit {bit}");
    }
    for bit in 0..96 * 8 {
        let mut page = trailer().encode();
        page[bit / 8] ^= 1 << (bit % 8);
        assert!(Trailer::decode(&page, 1 << 20).is_err(), "bit {bit}");
    }
    assert_eq!(SegmentHeader::decode(&header().encode()[..63]), Err(StructureError::Truncated(63)));
}

#[test]
fn a_trailer_that_leads_out_of_its_file_is_refused() {
    let outside = Trailer { owner_count: u32::MAX, ..trailer() };
    assert_eq!(Trailer::decode(&outside.encode(), 1 << 20), Err(StructureError::Fields));
    let overlapping = Trailer { entries_end: 0x7000, ..trailer() };
    assert_eq!(Trailer::decode(&overlapping.encode(), 1 << 20), Err(StructureError::Fields));
}

proptest! {
    #[test]
    fn owner_tables_come_back(counts in prop::collection::vec((1_u64..100, 0_u32..9, any::<u32>()), 0..20)) {
        let (mut rows, mut owner, mut points) = (Vec::new(), 0, 0);
        for (step, count, number) in counts {
            owner += step;
            rows.push(OwnerRow {
                owner: OwnerId(owner),
                first: SequenceNumber(u64::from(number)),
                next: SequenceNumber(u64::from(number) + step),
                first_time: Timestamp(5),
                last_time: Timestamp(5 + step),
                payload_bytes: step,
                first_point: points,
                point_count: count,
            });
            points += count;
        }
        for (format, row_bytes) in [(RowFormat::Plain, 56), (RowFormat::Checked(7), OWNER_ROW_BYTES)] {
            let mut bytes = Vec::new();
            rows.iter().for_each(|row| format.encode_into(row, &mut bytes));
            prop_assert_eq!(bytes.len() as u64, rows.len() as u64 * row_bytes);
            prop_assert_eq!(decode_owner_table(&bytes, format, points), Some(rows.clone()));
            prop_assert_eq!(decode_owner_table(&bytes, format, points + 1), None);
            if rows.len() > 1 {
                bytes.rotate_left(row_bytes as usize);
                prop_assert_eq!(decode_owner_table(&bytes, format, points), None);
            }
        }
    }

    #[test]
    fn a_checked_row_is_of_its_segment_and_unchanged(fields in any::<[u64; 3]>(), segment in any::<u64>(), bit in 0..480_usize) {
        let [owner, first, count] = fields;
        let row = OwnerRow {
            owner: OwnerId(owner),
            first: SequenceNumber(first),
            next: SequenceNumber(first.saturating_add(count)),
            first_time: Timestamp(count / 2),
            last_time: Timestamp(count),
            payload_bytes: owner ^ count,
            first_point: 3,
            point_count: 4,
        };
        let format = RowFormat::Checked(segment);
        let mut bytes = Vec::new();
        format.encode_into(&row, &mut bytes);
        prop_assert_eq!(format.decode(&bytes), Some(row));
        prop_assert_eq!(RowFormat::Checked(segment ^ 1).decode(&bytes), None);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(format.decode(&bytes), None);
    }

    #[test]
    fn points_and_watermarks_come_back(numbers in prop::collection::vec(any::<(u32, u32, u32, u32)>(), 0..20)) {
        for (sequence_offset, position_units, time_offset, length_units) in &numbers {
            let point = Point {
                sequence_offset: *sequence_offset,
                position_units: *position_units,
                time_offset: *time_offset,
                length_units: *length_units,
            };
            let mut bytes = Vec::new();
            point.encode_into(&mut bytes);
            prop_assert_eq!(bytes.len() as u64, POINT_BYTES);
            prop_assert_eq!(Point::decode(&bytes), Some(point));
        }
        let rows: Vec<_> = numbers.iter().map(|n| (OwnerId(n.0.into()), SequenceNumber(n.1.into()))).collect();
        let decoded: Vec<_> = watermarks::decode(&watermarks::encode(&rows)).collect();
        prop_assert_eq!(decoded, rows);
    }

    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for (_, target) in crate::fuzz::TARGETS {
            target(&bytes);
        }
    }
}
