//! The bytes of a stream's capacity, and of the account's commitment.

use tidemill_wire::Timestamp;

use super::{DecodeError, Reader};
use crate::service::capacity::{Capacity, Distribution, Mode, ShardMetrics};
use crate::service::commitment::Commitment;

/// Version of the values of capacities and of commitments.
const VERSION: u8 = 1;

pub(in super::super) fn encode_capacity(capacity: &Capacity) -> Vec<u8> {
    let mode = match capacity.mode {
        Mode::Provisioned => 0,
        Mode::OnDemand => 1,
    };
    let distribution = match capacity.distribution {
        Distribution::ByKey => 0,
        Distribution::Even => 1,
    };
    let mut out = vec![VERSION, mode, distribution, capacity.metrics.bits()];
    out.extend(capacity.read_calls_per_second.to_le_bytes());
    out.extend(capacity.warm_mib_per_second.to_le_bytes());
    out.extend(capacity.switched.into_iter().flat_map(|time| time.get().to_le_bytes()));
    out
}

pub(in super::super) fn decode_capacity(bytes: &[u8]) -> Result<Capacity, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let impossible = |field, value: u8| DecodeError::Impossible { field, value: value.to_string() };
    let mode = match reader.u8("mode")? {
        0 => Mode::Provisioned,
        1 => Mode::OnDemand,
        other => return Err(impossible("mode", other)),
    };
    let distribution = match reader.u8("distribution")? {
        0 => Distribution::ByKey,
        1 => Distribution::Even,
        other => return Err(impossible("distribution", other)),
    };
    let metrics = reader.u8("shard metrics")?;
    let metrics = ShardMetrics::from_bits(metrics).ok_or_else(|| impossible("shard metrics", metrics))?;
    let read_calls_per_second = reader.u64("read calls")?;
    let warm_mib_per_second = reader.u32("warm throughput")?;
    let switched = [Timestamp(reader.u64("last switch")?), Timestamp(reader.u64("switch before")?)];
    let capacity =
        Capacity { mode, distribution, metrics, read_calls_per_second, warm_mib_per_second, switched };
    reader.end(capacity)
}

pub(in super::super) fn encode_commitment(commitment: Commitment) -> Vec<u8> {
    let times = [commitment.started, commitment.ended].into_iter().flat_map(|time| time.get().to_le_bytes());
    std::iter::once(VERSION).chain(times).collect()
}

pub(in super::super) fn decode_commitment(bytes: &[u8]) -> Result<Commitment, DecodeError> {
    let mut reader = Reader { rest: bytes };
    match reader.u8("version")? {
        VERSION => {}
        found => return Err(DecodeError::UnknownVersion { found }),
    }
    let started = Timestamp(reader.u64("start of the commitment")?);
    let ended = Timestamp(reader.u64("end of the commitment")?);
    reader.end(Commitment { started, ended })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Capacity {
        Capacity {
            mode: Mode::OnDemand,
            distribution: Distribution::Even,
            metrics: ShardMetrics::from_bits(0x41).expect("two metrics"),
            read_calls_per_second: 5,
            warm_mib_per_second: 0x0102,
            switched: [Timestamp(0x0304), Timestamp(0)],
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format_page() {
        let hex: String = encode_capacity(&sample()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01010141050000000000000002010000040300000000000000000000000000 00".replace(' ', ""));
        assert_eq!(encode_capacity(&Capacity::default()), [[1].as_slice(), &[0; 31]].concat());
    }

    #[test]
    fn commitments_decode_to_what_they_were() {
        let commitment = Commitment { started: Timestamp(0x0102), ended: Timestamp(0x0304) };
        let bytes = encode_commitment(commitment);
        assert_eq!(bytes, [1, 2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0]);
        assert_eq!(decode_commitment(&bytes), Ok(commitment));
        assert_eq!(
            decode_commitment(&bytes[..16]),
            Err(DecodeError::Truncated { field: "end of the commitment" })
        );
        assert_eq!(
            decode_commitment(&[bytes.as_slice(), &[0]].concat()),
            Err(DecodeError::TrailingBytes { bytes: 1 })
        );
        assert_eq!(decode_commitment(&[2]), Err(DecodeError::UnknownVersion { found: 2 }));
    }

    #[test]
    fn what_is_no_capacity_is_refused() {
        let good = encode_capacity(&sample());
        for length in 0..good.len() {
            let error = decode_capacity(&good[..length]).expect_err("it ends early");
            assert!(matches!(error, DecodeError::Truncated { .. }), "{length}: {error}");
        }
        let check = |at: usize, to: u8, message| {
            let mut bytes = good.clone();
            bytes[at] = to;
            assert_eq!(decode_capacity(&bytes).expect_err(message).to_string(), message);
        };
        check(0, 2, "value has version 2, which this server does not know");
        check(1, 2, "mode has the impossible value 2");
        check(2, 3, "distribution has the impossible value 3");
        check(3, 128, "shard metrics has the impossible value 128");
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(decode_capacity(&longer), Err(DecodeError::TrailingBytes { bytes: 1 }));
    }

    proptest! {
        #[test]
        fn what_decodes_has_one_value(start in prop::array::uniform4(0_u8..3), rest in prop::collection::vec(any::<u8>(), 28)) {
            let bytes = [start.as_slice(), &rest].concat();
            if let Ok(capacity) = decode_capacity(&bytes) {
                prop_assert_eq!(encode_capacity(&capacity), bytes);
            }
            let capacity = sample();
            prop_assert_eq!(decode_capacity(&encode_capacity(&capacity)), Ok(capacity));
        }
    }
}
