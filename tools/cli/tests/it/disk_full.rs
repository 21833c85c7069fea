//! A full disk: appends are refused, reads go on, and with room appends work again without a restart.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tidemill_client::{
    Client, ClientOptions, ConsumerOptions, ErrorCode, Event, Producer, ProducerOptions, Quota, Record,
    RetryPolicy, SendError, Settings, StreamName, Until,
};

use crate::process::{PATIENCE, Server};

const DISK_BYTES: u64 = 192 << 20;
const FILLER_BYTES: u64 = 80 << 20;
const FLAGS: &[&str] =
    &["--set", "storage.segment_size=8MiB", "--set", "storage.group_bytes=1MiB", "--set", "data.lanes=1"];

/// A small ext4 of its own, unmounted and removed at the end.
struct SmallDisk {
    folder: tempfile::TempDir,
    mount: PathBuf,
}

impl SmallDisk {
    /// Makes one, or says why that is not possible here.
    fn new() -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("mounting needs root".to_owned());
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (image, mount) = (folder.path().join("image"), folder.path().join("mount"));
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(DISK_BYTES).map_err(|error| error.to_string())?;
        std::fs::create_dir(&mount).map_err(|error| error.to_string())?;
        command("mkfs.ext4", &["-q".as_ref(), "-m".as_ref(), "0".as_ref(), &image])?;
        command("mount", &["-o".as_ref(), "loop".as_ref(), &image, &mount])?;
        Ok(Self { folder, mount })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(reason) = command("umount", &[&self.mount]) {
            eprintln!("{} stays mounted: {reason}", self.folder.path().display());
        }
    }
}

fn command(program: &str, arguments: &[&Path]) -> Result<(), String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

async fn append(producer: &Producer, index: u64) -> Result<(), SendError> {
    let mut data = vec![b'.'; 50_000];
    data[..8].copy_from_slice(&index.to_be_bytes());
    producer.send(Record::keyed(b"key", &data)).await?.await.map(drop)
}

/// Reads everything; the records are those that were acknowledged, in order.
async fn check(client: &Client, name: &StreamName, acknowledged: u64) {
    let options =
        ConsumerOptions { until: Until { end: true, ..Until::default() }, ..ConsumerOptions::default() };
    let mut consumer = client.consumer(name, options).await.expect("reads go on");
    let mut next = 0;
    while let Some(event) = consumer.next().await {
        let Event::Records(batch) = event.expect("reads go on") else { panic!("nothing has expired") };
        for record in batch {
            assert_eq!(record.data[..8], u64::to_be_bytes(next));
            next += 1;
        }
    }
    assert_eq!(next, acknowledged);
}

#[test]
fn a_full_disk_refuses_appends_and_recovers_with_room() {
    let disk = match SmallDisk::new() {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("skipped: a full disk cannot be made here: {reason}"),
    };
    let filler = disk.mount.join("filler");
    std::fs::write(&filler, vec![1; usize::try_from(FILLER_BYTES).expect("small")])
        .expect("there is room for the filler");
    let server = Server::start(&disk.mount.join("data"), FLAGS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let options = ClientOptions { retry: RetryPolicy::NEVER, ..ClientOptions::default() };
        let client = Client::connect(&server.address, options).await.expect("the server answers");
        let name = StreamName::new("logs").expect("the name is allowed");
        let settings = Settings { quota: Some(Quota::OFF), ..Settings::default() };
        client.admin().create_stream(&name, 1, settings).await.expect("a new stream");
        let options = ProducerOptions { linger: Duration::ZERO, ..ProducerOptions::default() };
        let producer = client.producer(&name, options).await.expect("the stream exists");

        let mut acknowledged = 0;
        let refusal = loop {
            match append(&producer, acknowledged).await {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(acknowledged * 50_000 < DISK_BYTES, "the disk does not fill");
        };
        assert_eq!(refusal.code(), Some(ErrorCode::DiskFull), "{refusal}");
        check(&client, &name, acknowledged).await;

        std::fs::remove_file(&filler).expect("it is there");
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = append(&producer, acknowledged).await {
            assert_eq!(error.code(), Some(ErrorCode::DiskFull), "{error}");
            assert!(Instant::now() < deadline, "appends do not work again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        acknowledged += 1;
        for _ in 0..200 {
            append(&producer, acknowledged).await.expect("there is room");
            acknowledged += 1;
        }
        check(&client, &name, acknowledged).await;
    });
    server.stop();
}
