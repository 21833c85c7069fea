//! Records and changes to them.

use super::Identity;

#[test]
fn a_record_tells_which_it_is_and_any_change_is_noticed() {
    for index in 0..50 {
        let identity = Identity { stream: 2, shard: 3, index };
        let mut data = Vec::new();
        identity.fill(200, &mut data);
        assert!((100..=300).contains(&data.len()), "{}", data.len());
        assert_eq!(Identity::of(&data, 200), Some(identity));
        for at in 0..data.len() {
            data[at] ^= 1 << (at % 8);
            assert_ne!(Identity::of(&data, 200), Some(identity), "byte {at}");
            data[at] ^= 1 << (at % 8);
        }
        data.pop();
        assert_eq!(Identity::of(&data, 200), None);
    }
    assert_eq!(Identity::of(&[], 200), None);
}
