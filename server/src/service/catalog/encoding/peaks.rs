//! The bytes of the peaks of a stream on demand.

use super::{DecodeError, Reader};
use crate::service::peaks::{PEAKS_MAX, Peak, Peaks};

/// Version of the values of peaks.
const VERSION: u8 = 1;

pub(in super::super) fn encode_peaks(peaks: &Peaks) -> Vec<u8> {
    let mut out = vec![VERSION, u8::try_from(peaks.iter().len()).expect("there are few")];
    for peak in peaks.iter() {
        out.extend(peak.day.to_le_bytes());
        out.extend(peak.bytes_per_second.to_le_bytes());
        out.extend(peak.records_per_second.to_le_bytes());
    }
    out
}

const _: () = assert!(PEAKS_MAX <= u8::MAX as usize);

pub(in super::super) fn decode_peaks(bytes: &[u8]) -> Result<Peaks, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let count = reader.u8("number of peaks")?;
    let mut peaks = Vec::new();
    for _ in 0..count {
        peaks.push(Peak {
            day: reader.u32("day of a peak")?,
            bytes_per_second: reader.u64("bytes of a peak")?,
            records_per_second: reader.u64("records of a peak")?,
        });
    }
    let impossible = DecodeError::Impossible {
        field: "peaks",
        value: format!("{count} of days out of order, or too many"),
    };
    reader.end(Peaks::of(peaks).ok_or(impossible)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peak(day: u32) -> Peak {
        Peak { day, bytes_per_second: 0x0102, records_per_second: 0x03 }
    }

    #[test]
    fn the_bytes_are_those_of_the_format_page() {
        let peaks = Peaks::of(vec![peak(0x4e20), peak(0x4e21)]).expect("two days");
        let hex: String = encode_peaks(&peaks).iter().map(|byte| format!("{byte:02x}")).collect();
        let expected =
            "01 02 204e0000 0201000000000000 0300000000000000 214e0000 0201000000000000 0300000000000000";
        assert_eq!(hex, expected.replace(' ', ""));
        assert_eq!(encode_peaks(&Peaks::default()), [1, 0]);
    }

    #[test]
    fn what_are_no_peaks_is_refused() {
        let good = encode_peaks(&Peaks::of(vec![peak(1), peak(2)]).expect("two days"));
        for length in 0..good.len() {
            let error = decode_peaks(&good[..length]).expect_err("it ends early");
            assert!(matches!(error, DecodeError::Truncated { .. }), "{length}: {error}");
        }
        assert_eq!(decode_peaks(&[2, 0]), Err(DecodeError::UnknownVersion { found: 2 }));
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(decode_peaks(&longer), Err(DecodeError::TrailingBytes { bytes: 1 }));
        let mut backwards = good;
        backwards[2] = 3;
        assert!(matches!(decode_peaks(&backwards), Err(DecodeError::Impossible { field: "peaks", .. })));
        let many: Vec<u8> = (0..32_u32).flat_map(|day| [&day.to_le_bytes()[..], &[0; 16]].concat()).collect();
        let many = decode_peaks(&[&[1, 32][..], &many].concat());
        assert!(matches!(many, Err(DecodeError::Impossible { field: "peaks", .. })));
    }

    proptest! {
        #[test]
        fn what_decodes_has_one_value(days in prop::collection::btree_map(any::<u32>(), any::<(u64, u64)>(), 0..31)) {
            let peaks = days.into_iter().map(|(day, (bytes_per_second, records_per_second))| Peak { day, bytes_per_second, records_per_second });
            let peaks = Peaks::of(peaks.collect()).expect("they are in order");
            prop_assert_eq!(decode_peaks(&encode_peaks(&peaks)), Ok(peaks));
        }
    }
}
