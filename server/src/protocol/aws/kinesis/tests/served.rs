//! A core on a thread of its own, which answers calls of the test's thread.

use std::thread::JoinHandle;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_lite::StreamExt;
use futures_lite::future::or;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidemill_storage::{LaneConfig, Retention};
use tidemill_wire::message::Quota;
use tidemill_wire::{LaneId, OwnerId};

use super::super::super::eventstream::tests::Frame;
use super::super::super::{
    Answer, Aws, Caller, Encoding, Identity, Payload, Piece, Request, Settings, SubscriptionTimes,
};
use crate::gate::budget::Budget;
use crate::metrics::CoreMetrics;
use crate::service::catalog::{AccountLimits, Catalog, Limits, MemoryCatalog, Node, NodeId, StreamDefaults};
use crate::service::queue::Chores;
use crate::shard::{
    CatalogHandle, CatalogThread, Clock, Core, CoreEnv, CoreParts, Executor, Known, Letter, Placement, Post,
    Pulse, Runtime, online_cpus, open_lanes,
};

pub(super) const ACCOUNT: &str = "123456789012";

/// What one call brings and wants.
struct Question {
    target: String,
    encoding: Encoding,
    body: Bytes,
    answer: oneshot::Sender<Told>,
}

/// An answer as it crosses to the test's thread.
struct Told {
    status: u16,
    content_type: &'static str,
    body: Body,
}

enum Body {
    Whole(Bytes),
    /// Pieces, one at a time; whoever drops this has hung up.
    Pieces(Receiver<Bytes>),
}

/// Sends an answer's pieces as they are taken, as a connection does.
fn tell(core: &std::rc::Rc<Core>, answer: Answer) -> Told {
    let Answer { status, content_type, payload, .. } = answer;
    let body = match payload {
        Payload::Whole(bytes) => Body::Whole(bytes),
        Payload::Pieces(mut pieces) => {
            // Rendezvous, nearly: one piece is on its way and the next one is made when it was taken.
            let (sender, receiver) = async_channel::bounded(1);
            let gone = sender.clone();
            let guest = core.welcome();
            core.spawn(async move {
                let send = async {
                    while let Some(Piece { bytes, room }) = pieces.next().await {
                        if sender.send(bytes).await.is_err() {
                            break;
                        }
                        drop(room);
                    }
                };
                or(send, gone.closed()).await;
                drop((pieces, guest));
            });
            Body::Pieces(receiver)
        }
    };
    Told { status, content_type, body }
}

/// A core that serves.
pub(super) struct Served {
    questions: Sender<Question>,
    core: Option<JoinHandle<std::io::Result<()>>>,
    catalog: CatalogHandle,
    catalog_thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

/// The events of a subscription.
pub(super) struct Events {
    pieces: Receiver<Bytes>,
}

impl Events {
    /// The next event; `None` when there are no more.
    pub(super) fn next(&self) -> Option<Frame> {
        let piece = self.pieces.recv_blocking().ok()?;
        let mut rest = &piece[..];
        let frame = Frame::take(&mut rest).expect("a piece is a frame");
        assert!(rest.is_empty(), "a piece is one frame");
        Some(frame)
    }
}

/// A refusal: status, name, message.
pub(super) type Refused = (u16, String, String);

/// An empty catalog of one lane.
pub(super) fn memory(quota: Quota) -> MemoryCatalog {
    let limits = Limits {
        shards_per_stream: 64,
        streams: 16,
        queues: 16,
        partitions_per_queue: 0,
        is_compacting: false,
        account: AccountLimits::OFF,
    };
    let retention = Retention { age: Duration::from_secs(86_400), bytes: None };
    MemoryCatalog::new(
        Node { id: NodeId(1), lanes: 1 },
        limits,
        StreamDefaults { retention, quota, read_calls_per_second: 0 },
    )
}

impl Served {
    /// Without quotas.
    pub(super) fn start() -> Self {
        Self::start_with(Quota::OFF)
    }

    /// With these quotas for new streams.
    pub(super) fn start_with(quota: Quota) -> Self {
        Self::start_on(memory(quota))
    }

    /// With this catalog.
    pub(super) fn start_on(memory: impl Catalog + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (post, mailboxes) = Post::new(1);
        let mailbox = mailboxes.into_iter().next().expect("one core");
        let (thread, catalog) = CatalogThread::new();
        let clock = Clock::start();
        let catalog_thread = thread.start(memory, clock, post.clone(), Duration::ZERO).expect("a thread");
        let config = LaneConfig {
            segment_bytes: 16 << 20,
            entry_bytes_max: 3 << 20,
            queue_bytes_max: 64 << 20,
            ..LaneConfig::test_min(directory.path().join("lane"), LaneId(0))
        };
        let (questions, asked) = async_channel::bounded::<Question>(16);
        let (at_core, cpu) = (catalog.clone(), online_cpus().expect("processors")[0]);
        let runtime = Runtime { preempt: Duration::from_micros(500), spin: Duration::ZERO };
        let core = Executor::start(0, cpu, runtime, move |executor| async move {
            let env = CoreEnv::start(clock, executor.clone(), 1 << 20).expect("a ring");
            let known = Known {
                streams: Vec::new(),
                queues: Vec::new(),
                stream_queues: Vec::new(),
                next_owner: OwnerId(1),
            };
            let lanes = open_lanes(&env, vec![config], &known).await.expect("a new lane").lanes;
            let placement = Placement { cores: 1, lanes: 1 };
            let core = Core::new(CoreParts {
                index: 0,
                placement,
                executor,
                env: env.clone(),
                lanes,
                streams: Vec::new(),
                queues: Vec::new(),
                stream_queues: Vec::new(),
                post: post.clone(),
                catalog: at_core,
                waiting_fetches_max: 1_000,
                deduplication_ids_max: 1_000,
                shards_per_stream: 64,
                chores: Chores::default(),
                metrics: std::rc::Rc::new(CoreMetrics::default()),
            });
            let identity = Identity {
                account: ACCOUNT.to_owned(),
                region: "us-east-1".to_owned(),
                partition: "aws".to_owned(),
            };
            let subscription = SubscriptionTimes::TEST_MIN;
            let settings = Settings { identity, secret: [7; 32], subscription, limits: AccountLimits::OFF };
            let aws = Aws::new(std::rc::Rc::clone(&core), settings, Budget::new(1 << 20, 1_000));
            let at_questions = std::rc::Rc::clone(&core);
            core.spawn(async move {
                while let Ok(question) = asked.recv().await {
                    let caller = Caller {
                        account: ACCOUNT.to_owned(),
                        access_key: "key".to_owned(),
                        name: "test".to_owned(),
                    };
                    let Question { target, encoding, body, answer } = question;
                    let request = Request {
                        target: &target,
                        encoding,
                        body,
                        caller: &caller,
                        origin: "http://localhost",
                    };
                    // A test that has failed does not wait.
                    let _ = answer.send(tell(&at_questions, aws.answer(&request).await));
                }
                let (done, _) = std::sync::mpsc::channel();
                post.send(0, Letter::Close { done }).await.expect("the core lives");
            });
            core.run(mailbox, Pulse::default(), Duration::from_millis(1), Duration::from_secs(1)).await;
            env.stop().await;
        });
        let core = Some(core.expect("a thread"));
        let catalog_thread = Some(catalog_thread);
        Self { questions, core, catalog, catalog_thread, _directory: directory }
    }

    /// The way to the catalog.
    pub(super) fn catalog(&self) -> &CatalogHandle {
        &self.catalog
    }

    /// Asks with any bytes.
    pub(super) fn ask_raw(
        &self,
        operation: &str,
        encoding: Encoding,
        body: impl Into<Bytes>,
    ) -> (u16, Bytes) {
        let (answer, answered) = oneshot::channel();
        let target = format!("Kinesis_20131202.{operation}");
        let question = Question { target, encoding, body: body.into(), answer };
        self.questions.send_blocking(question).expect("the core takes questions");
        let answer = futures_lite::future::block_on(answered).expect("an answer");
        let Body::Whole(body) = answer.body else { panic!("{operation} answers in pieces") };
        assert_eq!(answer.content_type, encoding.media_type());
        (answer.status, body)
    }

    /// Asks for what is answered with events.
    pub(super) fn subscribe(&self, encoding: Encoding, body: impl Into<Bytes>) -> Events {
        let (answer, answered) = oneshot::channel();
        let target = "Kinesis_20131202.SubscribeToShard".to_owned();
        let question = Question { target, encoding, body: body.into(), answer };
        self.questions.send_blocking(question).expect("the core takes questions");
        let answer = futures_lite::future::block_on(answered).expect("an answer");
        let Body::Pieces(pieces) = answer.body else { panic!("a subscription is answered in pieces") };
        assert_eq!((answer.status, answer.content_type), (200, "application/vnd.amazon.eventstream"));
        Events { pieces }
    }

    /// Asks in JSON for what must succeed.
    pub(super) fn ask(&self, operation: &str, input: &Value) -> Value {
        let (status, body) = self.ask_raw(operation, Encoding::Json, input.to_string());
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, 200, "{operation} {input}: {text}");
        if body.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") }
    }

    /// Asks in JSON for what must be refused.
    pub(super) fn refused(&self, operation: &str, input: &Value) -> Refused {
        let (status, body) = self.ask_raw(operation, Encoding::Json, input.to_string());
        refusal(operation, status, &body)
    }

    /// Asks for what must be refused with this error, whose text has this part.
    pub(super) fn expect(&self, operation: &str, input: &Value, error: &str, part: &str) {
        let (status, name, message) = self.refused(operation, input);
        assert_eq!((status, name.as_str()), (400, error), "{operation} {input}: {message}");
        assert!(message.contains(part), "{operation} {input}: {message:?} lacks {part:?}");
    }

    /// Creates a stream.
    pub(super) fn create(&self, name: &str, shards: u32) {
        self.ask("CreateStream", &json!({ "StreamName": name, "ShardCount": shards }));
    }

    /// Puts a record and returns shard and number.
    pub(super) fn put(&self, stream: &str, key: &str, data: &str) -> (String, String) {
        let input = json!({ "StreamName": stream, "PartitionKey": key, "Data": base64(data.as_bytes()) });
        let answer = self.ask("PutRecord", &input);
        (text(&answer["ShardId"]), text(&answer["SequenceNumber"]))
    }

    /// An iterator of the first shard.
    pub(super) fn iterator(&self, stream: &str, more: &Value) -> String {
        let mut input = json!({ "StreamName": stream, "ShardId": "shardId-000000000000" });
        let members = input.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        text(&self.ask("GetShardIterator", &input)["ShardIterator"])
    }

    /// Reads from an iterator on.
    pub(super) fn get(&self, iterator: &str) -> Value {
        self.ask("GetRecords", &json!({ "ShardIterator": iterator }))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.questions.close();
        self.catalog.close();
        let (core, catalog) = (self.core.take(), self.catalog_thread.take());
        if !std::thread::panicking() {
            if let Some(core) = core {
                core.join().expect("no panic").expect("an executor");
            }
            if let Some(catalog) = catalog {
                catalog.join().expect("no panic");
            }
        }
    }
}

/// Name and message of a refusal in JSON.
pub(super) fn refusal(operation: &str, status: u16, body: &[u8]) -> Refused {
    let refused: Value = serde_json::from_slice(body).expect("a refusal in JSON");
    assert_ne!(status, 200, "{operation} was not refused: {refused}");
    (status, text(&refused["__type"]), text(&refused["message"]))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
