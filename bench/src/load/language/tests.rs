//! Answers of a server over HTTP in the words of our own, however the bytes were cut.

use tidemill_wire::message::{ErrorCode, ResponseBody};

use super::{Events, Language};
use crate::connection::Inbox;
use crate::error::BenchError;

/// What comes out of bytes that are received so many at a time.
fn speak(
    language: &mut Language,
    sent: &[u8],
    step: usize,
) -> Result<Vec<(ResponseBody, Vec<u8>)>, BenchError> {
    let mut inbox = Inbox::of_http(16);
    let mut heard = Vec::new();
    for mut rest in sent.chunks(step) {
        while !rest.is_empty() {
            assert!(inbox.fill(&mut rest).unwrap() > 0, "there is always room to read into");
            while let Some((response, body)) = language.next(&mut inbox, ([127, 0, 0, 1], 1).into())? {
                heard.push((response.body, body.to_vec()));
            }
        }
    }
    Ok(heard)
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn calls_are_done_or_failed_for_a_while_or_refused() {
    let throttled = r#"{"__type":"ProvisionedThroughputExceededException"}"#;
    let sent = [answer("200 OK", "{\"a\":1}"), answer("400 Bad", throttled), answer("503 No", "{}")].concat();
    for step in [1, 3, 50, 1_000] {
        let heard = speak(&mut Language::Calls, &sent, step).unwrap();
        let [(ResponseBody::Done, done), (first, _), (second, _)] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(done, b"{\"a\":1}");
        for failed in [first, second] {
            let ResponseBody::Failed(failure) = failed else { panic!("{failed:?}") };
            assert!(failure.code == ErrorCode::Overloaded && failure.retry_after_ms > 0, "{failure}");
        }
    }
    let refused = speak(&mut Language::Calls, &answer("400 Bad", "{\"__type\":\"Wrong\"}"), 1_000);
    let message = refused.unwrap_err().to_string();
    assert_eq!(message, "a call was answered with status 400: {\"__type\":\"Wrong\"}");
}

#[test]
fn events_are_whole_however_chunks_cut_them_and_come_to_an_end() {
    let event =
        |bytes: u8| [&(u32::from(bytes)).to_be_bytes()[..], &vec![bytes; usize::from(bytes) - 4]].concat();
    let events = [event(5), event(200), event(16)].concat();
    for chunk in [1, 7, 221, 150] {
        let mut sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for piece in events.chunks(chunk) {
            sent.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            sent.extend(piece);
            sent.extend(b"\r\n");
        }
        sent.extend(b"0\r\n\r\n");
        for step in [1, 9, 1_000] {
            let heard = speak(&mut Language::Events(Events::default()), &sent.repeat(2), step).unwrap();
            let sizes: Vec<usize> = heard.iter().map(|(_, event)| event.len()).collect();
            assert_eq!(sizes, [5, 200, 16, 0, 5, 200, 16, 0], "in chunks of {chunk}");
            assert!(matches!(heard[3].0, ResponseBody::SubscriptionEnded(_)));
        }
    }
    let refused = speak(&mut Language::Events(Events::default()), &answer("400 Bad", "no"), 1_000);
    let message = refused.unwrap_err().to_string();
    assert_eq!(message, "SubscribeToShard was answered with status 400: no");
    let damaged = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n\0\0\0\x01\r\n";
    assert!(speak(&mut Language::Events(Events::default()), damaged, 1_000).is_err());
}
