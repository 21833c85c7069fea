use super::*;

#[test]
fn file_names_and_ids_lead_to_each_other() {
    let directory = Path::new("/data/lane");
    let name = |id| segment_path(directory, id).file_name().map(|name| name.to_string_lossy().into_owned());
    for id in [0, 1, 255, u64::MAX] {
        assert_eq!(name(id).as_deref().and_then(segment_id_of), Some(id));
    }
    for name in [
        "",
        ".segment",
        "1.segment",
        "00000000000000AB.segment",
        "+000000000000001.segment",
        "0000000000000001.preparing",
    ] {
        assert_eq!(segment_id_of(name), None, "{name}");
    }
}
