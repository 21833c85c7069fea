//! AWS JSON 1.1.

use super::error::Fault;

/// The body of a refusal.
pub(super) fn encode_fault(fault: &Fault) -> Vec<u8> {
    let body = serde_json::json!({ "__type": fault.name, "message": fault.message });
    body.to_string().into_bytes()
}
