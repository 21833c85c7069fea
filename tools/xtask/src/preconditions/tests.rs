//! The memory lock limit is read as the kernel prints it.

use super::memlock;

fn check(soft: &str, accepted: bool) {
    let limits = format!(
        "Max processes             1   1   processes\nMax locked memory         {soft}   unlimited   bytes\n"
    );
    assert_eq!(memlock(&limits).is_ok(), accepted, "{soft}");
}

#[test]
fn memlock_limit_is_compared_with_what_a_ring_needs() {
    check("65536", false);
    check("524287", false);
    check("524288", true);
    check("unlimited", true);
    assert!(memlock("").is_ok(), "a kernel that does not tell is given the benefit of the doubt");
}
