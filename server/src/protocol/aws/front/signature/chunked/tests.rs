//! Bodies in chunks: the example that AWS publishes for S3, and what can be wrong with one.

use futures_lite::future::{block_on, poll_once};
use proptest::prelude::*;

use super::super::{AccessKeys, Claim, Expected, Head};
use super::*;
use crate::config::Credential;

/// Signatures of the published example: of the head, of 65,536 letters, of 1,024 more, and of the end.
const SIGNATURES: [&str; 4] = [
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
];
/// 20130524T000000Z.
const NOW: u64 = 1_369_353_600;

fn chunk(length: &str, signature: &str, data: &[u8]) -> Vec<u8> {
    [format!("{length};chunk-signature={signature}\r\n").as_bytes(), data, b"\r\n"].concat()
}

fn published() -> [Vec<u8>; 3] {
    let data = vec![b'a'; 65_536];
    [
        chunk("10000", SIGNATURES[1], &data),
        chunk("400", SIGNATURES[2], &data[..1_024]),
        chunk("0", SIGNATURES[3], &[]),
    ]
}

/// Verifies the example's request with another body, and perhaps another length.
fn judge(length: &str, body: Vec<u8>) -> Result<Bytes, SignatureError> {
    with_request(length, |checked, verifier| block_on(checked.verify(verifier, body.into(), None)))?
}

/// Does something with the example's request.
fn with_request<T>(
    length: &str,
    look: impl FnOnce(&Checked<'_>, &Verifier) -> T,
) -> Result<T, SignatureError> {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class, \
         Signature={}",
        SIGNATURES[0]
    );
    let headers: [(&str, &[u8]); 8] = [
        ("host", b"s3.amazonaws.com"),
        ("x-amz-date", b"20130524T000000Z"),
        ("x-amz-storage-class", b"REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", b"aws-chunked"),
        ("content-length", b"66824"),
        ("x-amz-decoded-content-length", length.as_bytes()),
        ("authorization", authorization.as_bytes()),
    ];
    let head = Head { method: "PUT", path: "/examplebucket/chunkObject.txt", query: "", headers: &headers };
    let verifier = Verifier::new(AccessKeys::new(vec![Credential {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        session_token: None,
        account: "000000000000".to_owned(),
        name: "example".to_owned(),
    }]));
    let claim = Claim::read(&head, None)?;
    let expected = Expected { region: "us-east-1", service: None, now: NOW, skew_seconds: 900 };
    let checked = verifier.check(head, claim, &expected)?;
    assert!(!checked.needs_digest());
    Ok(look(&checked, &verifier))
}

#[track_caller]
fn refused(body: Vec<u8>, expected: &str) {
    let error = judge("66560", body).expect_err("the body is refused");
    assert!(error.to_string().contains(expected), "{error}");
    let name = if error == SignatureError::Mismatch { "Invalid" } else { "Incomplete" };
    assert_eq!(error.fault().name, format!("{name}SignatureException"));
}

#[test]
fn the_published_body_is_right_and_its_data_is_what_was_meant() {
    let body = judge("66560", published().concat()).expect("it is signed");
    assert_eq!((body.len(), body.iter().all(|byte| *byte == b'a')), (66_560, true));
    // The length is signed with the head.
    assert_eq!(judge("66561", published().concat()), Err(SignatureError::Mismatch));
}

#[test]
fn chunks_that_are_changed_left_out_or_in_another_order_are_refused() {
    let mismatch = "does not match";
    let [first, second, last] = published();
    let of = |chunks: &[&Vec<u8>]| chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect::<Vec<u8>>();
    refused(of(&[&second, &first, &last]), mismatch);
    refused(of(&[&first, &last]), mismatch);
    refused(of(&[&first, &second]), "not cut into chunks");
    refused(of(&[&first, &second, &last, &last]), "follow the last chunk");
    refused(Vec::new(), "not cut into chunks");
    let mut changed = of(&[&first, &second, &last]);
    changed[40_000] = b'b';
    refused(changed, mismatch);
    for cut in [1, 20, 84, 86, 30_000, first.len() - 1, first.len() + 3] {
        refused(of(&[&first, &second, &last])[..cut].to_vec(), "not cut into chunks");
    }
    let zeroes = "0".repeat(64);
    for (length, data) in [
        ("", "a"),
        ("+1", "a"),
        ("g", "a"),
        ("ffffffffffffffff", "a"),
        ("2", "a"),
        ("10000000000000000", "a"),
    ] {
        refused(chunk(length, &zeroes, data.as_bytes()), "not cut into chunks");
    }
    refused(chunk("1", "abc", b"a"), "not cut into chunks");
    refused(chunk("1", &zeroes, b"a"), mismatch);
}

/// A body of these chunks, signed.
fn sign(checked: &Checked<'_>, verifier: &Verifier, lengths: &[usize]) -> Vec<u8> {
    let (mut body, mut before) = (Vec::new(), checked.claim.signature);
    for length in lengths {
        let data = vec![b'a'; *length];
        let mut mac = checked.begin_text(verifier, ALGORITHM);
        let digests = [Sha256::digest([]), Sha256::digest(&data)].map(|digest| Hex::of(&digest.into()));
        for piece in [Hex::of(&before).text(), "\n", digests[0].text(), "\n", digests[1].text()] {
            mac.update(piece.as_bytes());
        }
        before = mac.finalize().into_bytes().into();
        body.extend(chunk(&format!("{length:x}"), Hex::of(&before).text(), &data));
    }
    body
}

#[test]
fn only_the_last_chunk_may_be_small_and_the_length_is_that_of_the_data() {
    let judge = |lengths: &[usize]| {
        let unchunked = |checked: &Checked<'_>, verifier: &Verifier| {
            block_on(checked.unchunk(verifier, sign(checked, verifier, lengths).into()))
        };
        with_request("66560", unchunked).expect("the head is signed").map(|data| data.len())
    };
    assert_eq!(judge(&[58_368, 8_192, 0]), Ok(66_560));
    assert_eq!(judge(&[66_560, 0]), Ok(66_560));
    let error = judge(&[8_191, 58_369, 0]).expect_err("the first is small").to_string();
    assert!(error.contains("less than 8192 bytes"), "{error}");
    let error = judge(&[66_559, 0]).expect_err("a byte is missing").to_string();
    assert!(error.contains("another length"), "{error}");
}

#[test]
fn data_of_chunks_is_joined() {
    let joined = |texts: &[&'static str]| {
        let mut parts = Parts::default();
        texts.iter().for_each(|text| parts.push(Bytes::from_static(text.as_bytes())));
        parts.join()
    };
    assert_eq!(joined(&[]), "");
    assert_eq!(joined(&["one"]), "one");
    assert_eq!(joined(&["one", "two", "three"]), "onetwothree");
}

proptest! {
    #[test]
    fn whatever_was_not_signed_is_refused(
        body in prop::collection::vec(any::<u8>(), 0..300),
        pieces in prop::collection::vec("[0-9a-f]{1,3};chunk-signature=[0-9a-f]{64}\r\n[a-z]{0,20}\r\n", 0..4),
    ) {
        prop_assert!(judge("66560", body).is_err());
        prop_assert!(judge("66560", pieces.concat().into_bytes()).is_err());
    }
}

#[test]
fn others_get_their_turn_while_a_large_chunk_is_looked_at() {
    let turns = with_request("66560", |checked, verifier| {
        let body = sign(checked, verifier, &[10 << 20, 0]);
        let mut unchunked = std::pin::pin!(checked.unchunk(verifier, body.into()));
        (0..1_000).take_while(|_| block_on(poll_once(unchunked.as_mut())).is_none()).count()
    });
    assert_eq!(turns.expect("the head is signed"), (10 << 20) / STEP_BYTES);
}
