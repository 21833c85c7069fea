//! AWS CBOR 1.1; the only home of the `minicbor` crate.

use minicbor::Encoder;

use super::error::Fault;

/// The body of a refusal.
pub(super) fn encode_fault(fault: &Fault) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    let written = (|| {
        encoder.map(2)?.str("__type")?.str(fault.name)?;
        encoder.str("message")?.str(&fault.message)?.ok()
    })();
    written.expect("memory takes all that is written to it");
    encoder.into_writer()
}
