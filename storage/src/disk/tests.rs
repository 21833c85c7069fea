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
