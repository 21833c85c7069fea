//! Answers as servers write them, cut and damaged.

use proptest::prelude::*;

use super::{BODY_BYTES_MAX, Form, HEAD_BYTES_MAX, Head, HttpError, chunk, head};

#[test]
fn a_head_tells_its_status_and_the_form_of_its_body() {
    let check = |text: &str, status, form| {
        let bytes = text.len();
        assert_eq!(head(text.as_bytes()), Ok(Some(Head { status, bytes, form })), "{text:?}");
        let with_body = format!("{text}{{}}");
        assert_eq!(head(with_body.as_bytes()), Ok(Some(Head { status, bytes, form })), "{text:?}");
        for cut in 0..text.len() {
            assert_eq!(head(&text.as_bytes()[..cut]), Ok(None), "{text:?} cut at {cut}");
        }
    };
    check("HTTP/1.1 200 OK\r\ncontent-length: 12\r\nx: y\r\n\r\n", 200, Form::Whole(12));
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, Form::Chunks);
    check("HTTP/1.1 503 \r\nContent-Length:0\r\n\r\n", 503, Form::Whole(0));
    check("HTTP/1.1 204 No Content\r\n\r\n", 204, Form::Whole(0));
}

#[test]
fn the_line_before_a_chunk_tells_its_length() {
    assert_eq!(chunk(b"1f\r\nabc"), Ok(Some((4, 31))));
    assert_eq!(chunk(b"0\r\n\r\n"), Ok(Some((3, 0))));
    assert_eq!(chunk(b"a;name=value\r\n"), Ok(Some((14, 10))));
    assert_eq!(chunk(b"1f\r"), Ok(None));
}

#[test]
fn what_is_no_answer_is_an_error_with_what_was_found() {
    let found = "HTTP/2 200".to_owned();
    assert_eq!(head(b"HTTP/2 200\r\n\r\n"), Err(HttpError::Status { found }));
    let limit = BODY_BYTES_MAX;
    let length = |found: &str| Err(HttpError::Length { found: found.to_owned(), limit });
    assert_eq!(head(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"), length("x"));
    assert_eq!(head(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"), length("99999999999"));
    assert_eq!(head(&vec![b'x'; HEAD_BYTES_MAX]), Err(HttpError::Head { limit: HEAD_BYTES_MAX }));
    assert!(chunk(b"zz\r\n").is_err() && chunk(&[b'1'; 300]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        _ = head(&bytes);
        _ = chunk(&bytes);
        _ = head(&[b"HTTP/1.1 200 OK\r\n", &bytes[..], b"\r\n\r\n"].concat());
    }
}
