//! Names of streams and shards: ARNs, stream ids, shard ids.

use tidemill_wire::{ShardIndex, StreamId};

use super::super::Identity;
use super::super::seal::Seal;

const SHARD_PREFIX: &str = "shardId-";
const SHARD_DIGITS: usize = 12;
/// Digits of a stream's number in its id: 36^13 is above 2^64.
const ID_DIGITS: usize = 13;
/// Digits of its mark: seven before the hyphen and three behind it.
const MARK_DIGITS: usize = 10;

/// A stream's ARN.
pub(super) fn stream_arn(identity: &Identity, name: &str) -> String {
    let Identity { account, region, partition } = identity;
    format!("arn:{partition}:kinesis:{region}:{account}:stream/{name}")
}

/// The name in a stream's ARN; `None` if it is not of a stream of this server.
pub(super) fn stream_of_arn<'a>(identity: &Identity, arn: &'a str) -> Option<&'a str> {
    resource_of_arn(identity, arn)?.strip_prefix("stream/")
}

/// What an ARN names, with its kind; `None` if it is nothing of this server.
pub(super) fn resource_of_arn<'a>(identity: &Identity, arn: &'a str) -> Option<&'a str> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let is_ours = next()? == "arn"
        && next()? == identity.partition
        && next()? == "kinesis"
        && next()? == identity.region
        && next()? == identity.account;
    let resource = next()?;
    is_ours.then_some(resource)
}

/// A shard's id.
pub(super) fn shard_id(index: ShardIndex) -> String {
    format!("{SHARD_PREFIX}{:0width$}", index.get(), width = SHARD_DIGITS)
}

/// The shard of an id.
pub(super) fn shard_of_id(id: &str) -> Option<ShardIndex> {
    let digits = id.strip_prefix(SHARD_PREFIX).filter(|digits| digits.len() == SHARD_DIGITS)?;
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(ShardIndex)).flatten()
}

/// A stream's id: its number and a mark of this server.
pub(super) fn stream_id(seal: &Seal, id: StreamId) -> String {
    let mark = base36(seal.mark(id.get()) % 36_u64.pow(MARK_DIGITS as u32), MARK_DIGITS);
    let (before, behind) = mark.split_at(MARK_DIGITS - 3);
    format!("{}{before}-{behind}", base36(id.get(), ID_DIGITS))
}

/// The stream of an id that this server has made.
pub(super) fn stream_of_id(seal: &Seal, text: &str) -> Option<StreamId> {
    let number = u64::from_str_radix(text.get(..ID_DIGITS)?, 36).ok()?;
    let id = StreamId(number);
    (stream_id(seal, id) == text).then_some(id)
}

fn base36(mut number: u64, digits: usize) -> String {
    let mut out = vec![b'0'; digits];
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::try_from(number % 36).expect("below 36")];
        number /= 36;
    }
    String::from_utf8(out).expect("letters and digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_shards_have_twelve_digits() {
        assert_eq!(shard_id(ShardIndex(42)), "shardId-000000000042");
        let check =
            |text, expected: Option<u32>| assert_eq!(shard_of_id(text), expected.map(ShardIndex), "{text}");
        check("shardId-000000000042", Some(42));
        check("shardId-004294967295", Some(u32::MAX));
        check("shardId-004294967296", None);
        check("shardId-42", None);
        check("shardId-+00000000042", None);
        check("shard-000000000042", None);
    }

    #[test]
    fn arns_of_other_accounts_regions_and_kinds_name_no_stream() {
        let identity = Identity {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let arn = stream_arn(&identity, "logs");
        assert_eq!(arn, "arn:aws:kinesis:us-east-1:000000000000:stream/logs");
        let check = |arn: &str, expected| assert_eq!(stream_of_arn(&identity, arn), expected, "{arn}");
        check(&arn, Some("logs"));
        check(&arn.replace("us-east-1", "eu-west-1"), None);
        check(&arn.replace("000000000000", "111111111111"), None);
        check(&arn.replace(":stream/", ":channel/"), None);
        check("arn:aws:kinesis", None);
    }

    #[test]
    fn stream_ids_match_their_pattern_and_are_known_to_be_from_here() {
        let seal = Seal::new(&[7; 32]);
        for id in [StreamId(1), StreamId(u64::MAX)] {
            let text = stream_id(&seal, id);
            let (before, behind) = text.split_once('-').expect("a hyphen");
            assert_eq!((before.len(), behind.len()), (20, 3), "{text}");
            assert_eq!(stream_of_id(&seal, &text), Some(id));
            assert_eq!(stream_of_id(&Seal::new(&[8; 32]), &text), None);
        }
        assert_eq!(stream_of_id(&seal, "ü"), None);
    }
}
