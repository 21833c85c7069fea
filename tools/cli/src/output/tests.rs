//! The forms of tables and records.

use tidemill_wire::{SequenceNumber, ShardIndex, Timestamp};

use super::Table;
use super::record::{Form, Printed, base64};

#[test]
fn columns_line_up_and_numbers_end_together() {
    let mut table = Table::new(["NAME", ">SHARDS", "STATE"]);
    table.row(["a".into(), "4".into(), "open".into()]);
    table.row(["orders".into(), "1024".into(), "".into()]);
    assert_eq!(table.render(), "NAME    SHARDS  STATE\na            4  open\norders    1024");
}

#[test]
fn base64_is_that_of_the_standard() {
    // RFC 4648, section 10.
    let vectors = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, coded) in vectors {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}

fn printed(key: &[u8], data: &[u8], form: Form) -> String {
    let record =
        Printed { shard: ShardIndex(2), sequence: SequenceNumber(7), append_time: Timestamp(0), key, data };
    let mut out = Vec::new();
    record.write(form, &mut out).expect("writing to memory succeeds");
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn records_are_raw_or_objects() {
    let place = r#""shard":2,"sequence":7,"time":"1970-01-01T00:00:00.000Z""#;
    assert_eq!(printed(b"k", b"line", Form::Raw), "line\n");
    assert_eq!(
        printed(b"k", b"a \"b\"", Form::Json),
        format!("{{{place},\"key\":\"k\",\"data\":\"a \\\"b\\\"\"}}\n")
    );
    assert_eq!(printed(b"", b"", Form::Json), format!("{{{place},\"data\":\"\"}}\n"));
    assert_eq!(
        printed(&[255], &[0, 255], Form::Json),
        format!("{{{place},\"key_base64\":\"/w==\",\"data_base64\":\"AP8=\"}}\n")
    );
}
