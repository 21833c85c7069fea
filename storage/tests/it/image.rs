//! Directories as fixtures: files and folders in one image, without the zeroes that most of a segment is.
//!
//! Of each file its name within the directory, its size, and the stretches of it that are not zero, each with its length and position; a stretch of length 0 ends the file.
//! All numbers have four bytes, the lowest first. The tests of the `tidemill` binary use this file as well.

use std::{fs, path::Path};

/// Bytes that are looked at together.
const BLOCK_BYTES: usize = 16;

/// The image of a directory with everything in it.
pub(crate) fn pack(directory: &Path) -> Vec<u8> {
    let mut image = Vec::new();
    pack_folder(directory, "", &mut image);
    image
}

fn pack_folder(directory: &Path, prefix: &str, image: &mut Vec<u8>) {
    let mut paths: Vec<_> =
        fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().expect("a name").to_str().expect("a plain name");
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            pack_folder(&path, &format!("{name}/"), image);
        } else {
            pack_file(&name, &fs::read(&path).expect("read"), image);
        }
    }
}

fn pack_file(name: &str, bytes: &[u8], image: &mut Vec<u8>) {
    image.extend((name.len() as u32).to_le_bytes());
    image.extend(name.as_bytes());
    image.extend((bytes.len() as u32).to_le_bytes());
    let blocks: Vec<&[u8]> = bytes.chunks(BLOCK_BYTES).collect();
    let is_zero = |block: &&[u8]| block.iter().all(|byte| *byte == 0);
    let mut at = 0;
    while let Some(skipped) = blocks[at..].iter().position(|block| !is_zero(block)) {
        let start = at + skipped;
        let count = blocks[start..].iter().take_while(|block| !is_zero(block)).count();
        let piece = &bytes[start * BLOCK_BYTES..((start + count) * BLOCK_BYTES).min(bytes.len())];
        image.extend((piece.len() as u32).to_le_bytes());
        image.extend(((start * BLOCK_BYTES) as u32).to_le_bytes());
        image.extend(piece);
        at = start + count;
    }
    image.extend(0_u32.to_le_bytes());
}

/// Makes the files of an image in a directory.
pub(crate) fn unpack(image: &[u8], directory: &Path) {
    let mut rest = image;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize;
    while let Some(name_bytes) = take(4) {
        let name = String::from_utf8(take(number(name_bytes)).expect("a name").to_vec()).expect("plain");
        let mut bytes = vec![0; number(take(4).expect("a size"))];
        loop {
            let count = number(take(4).expect("a count"));
            if count == 0 {
                break;
            }
            let start = number(take(4).expect("a position"));
            bytes[start..start + count].copy_from_slice(take(count).expect("a piece"));
        }
        let path = directory.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}
