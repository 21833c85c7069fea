//! The real disk on a temporary directory: what is written shows, short files are told, buffers outlive their futures.

use super::*;
use crate::{env::Env, local::LocalEnv};

#[test]
fn what_is_written_shows_in_the_map_at_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = LocalEnv::new().expect("a ring");
    env.block_on(async {
        let file = env.disk().create(directory.path().join("file"), 64 << 10).await.expect("created");
        let buffers: Vec<Bytes> = (0..3000_u16).map(|n| Bytes::copy_from_slice(&n.to_le_bytes())).collect();
        let whole: Vec<u8> = buffers.concat();
        file.write(4096, buffers, WriteMode::Durable).await.expect("written");
        assert_eq!(file.view(4096..4096 + whole.len() as u64), whole);
        assert_eq!(file.read(4096, whole.len()).await.expect("read"), whole);
        file.populate(0..file.bytes()).await.expect("populated");
        assert!(!file.is_viewed());
        let view = file.view(0..1);
        assert!(file.is_viewed());
        drop(view);
        assert!(!file.is_viewed());
    });
}

#[test]
fn reading_past_the_end_is_an_error_with_path_and_offset() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = LocalEnv::new().expect("a ring");
    env.block_on(async {
        let path = directory.path().join("file");
        let file = env.disk().create(path.clone(), 8192).await.expect("created");
        let error = file.read(4096, 8192).await.expect_err("too short");
        let cause = Cause::Short { wanted: 8192, moved: 4096 };
        assert_eq!(error, DiskError { operation: Operation::Read, path, offset: 8192, cause });
    });
}

#[test]
fn a_disk_begins_with_a_window_and_a_flush_ends_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = LocalEnv::new().expect("a ring");
    env.block_on(async {
        let path = directory.path().join("file");
        let file = env.disk().create(path.clone(), 1 << 20).await.expect("created");
        file.write(4096, vec![Bytes::from(vec![7; 64 << 10])], WriteMode::Cached).await.expect("written");
        file.write_back(4096..32 << 10).await.expect("begun");
        file.write_back(0..1 << 20).await.expect("begun, with what was begun before and what is clean");
        file.flush().await.expect("flushed");
        assert!(file.view(4096..68 << 10).iter().all(|byte| *byte == 7));
        let error = file.write_back(1 << 63..(1 << 63) + 1).await.expect_err("no file is as long");
        assert_eq!(
            error,
            DiskError {
                operation: Operation::WriteBack,
                path,
                offset: 1 << 63,
                cause: Cause::Os(libc::EINVAL)
            }
        );
    });
}

#[test]
fn dropped_operations_keep_their_buffers_until_the_kernel_is_done() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = LocalEnv::new().expect("a ring");
    env.block_on(async {
        let file = env.disk().create(directory.path().join("file"), 1 << 20).await.expect("created");
        for round in 0..2000_u64 {
            let buffer = Bytes::from(vec![round as u8; 512]);
            let mut write = std::pin::pin!(file.write(round * 512, vec![buffer], WriteMode::Cached));
            let waker = std::task::Waker::noop();
            let poll = std::future::Future::poll(write.as_mut(), &mut std::task::Context::from_waker(waker));
            assert!(poll.is_pending());
        }
        assert_eq!(env.disk().ring().in_flight(), 2000);
        file.flush().await.expect("flushed");
        while env.disk().ring().in_flight() > 0 {
            env.sleep(std::time::Duration::from_millis(1)).await;
        }
        assert!(
            (0..2000_u64)
                .all(|round| file.view(round * 512..round * 512 + 512).iter().all(|b| *b == round as u8))
        );
    });
}

/// A file of numbers, no page of which is in memory if the file system can help it.
async fn cold_file(env: &LocalEnv, path: PathBuf, bytes: u64) -> RingFile {
    let file = env.disk().create(path.clone(), bytes).await.expect("created");
    let numbers: Vec<u8> = (0..bytes as u32 / 4).flat_map(u32::to_le_bytes).collect();
    file.write(0, vec![Bytes::from(numbers)], WriteMode::Durable).await.expect("written");
    file.flush().await.expect("flushed");
    drop(file);
    let plain = std::fs::File::open(&path).expect("opened");
    rustix::fs::fadvise(&plain, 0, None, rustix::fs::Advice::DontNeed).expect("forgotten");
    env.disk().open(path, Access::Read).await.expect("opened")
}

fn numbers(window: Range<u64>) -> Vec<u8> {
    let all = (window.start as u32 / 4..=window.end as u32 / 4).flat_map(u32::to_le_bytes);
    let skipped = window.start as usize % 4;
    all.skip(skipped).take((window.end - window.start) as usize).collect()
}

#[test]
fn windows_that_are_not_in_memory_are_read_as_they_are() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = LocalEnv::new().expect("a ring");
    env.block_on(async {
        let file = cold_file(&env, directory.path().join("file"), 4 << 20).await;
        let windows = vec![0..1, 4095..4097, 10_001..70_003, 1 << 20..3 << 20, (4 << 20) - 5..4 << 20];
        for _ in 0..2 {
            let found = file.fetch(windows.clone()).await.expect("read");
            for (window, bytes) in windows.iter().zip(found) {
                assert_eq!(bytes, numbers(window.clone()), "{window:?}");
            }
            // What is in memory is served from there, beside what is not.
            file.populate(8192..65_536).await.expect("populated");
        }
        assert!(is_resident(&file.view(8192..65_536)));
    });
}

#[test]
fn a_file_system_that_reads_through_the_page_cache_only_is_read_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = LocalEnv::new().expect("a ring");
    env.block_on(async {
        let file = cold_file(&env, directory.path().join("file"), 1 << 20).await;
        file.0.cold.0.refuse_direct();
        let found = file.fetch(vec![5..500_000, 600_000..600_001]).await.expect("read");
        assert_eq!(found, [numbers(5..500_000), numbers(600_000..600_001)]);
    });
}

#[test]
fn peers_that_hold_all_blocks_leave_the_page_cache_to_others() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let env = LocalEnv::new().expect("a ring");
    env.block_on(async {
        let file = cold_file(&env, directory.path().join("file"), 4 << 20).await;
        let mut held = Vec::new();
        for round in 0..100_u64 {
            let window = round * 40_000..round * 40_000 + 30_000;
            let bytes = file.fetch(vec![window.clone()]).await.expect("read").remove(0);
            assert_eq!(bytes, numbers(window));
            held.push(bytes);
        }
        assert!(file.is_viewed(), "some of them are views");
    });
}
