//! Connections of a part that speak the AWS protocols.
//!
//! What is done before the load (a consumer registered, a shard walked) is done here, with calls one after the other; the load itself is in the roles.

mod body;
mod cycle;
mod events;
mod page;
mod poller;
mod queue;
mod sender;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use tidemill_wire::ShardIndex;
use tidemill_wire::message::ShardDescription;

use self::body::{of_messages, of_records};
use self::cycle::Cycle;
use self::events::Subscriber;
use self::page::{Pages, walk};
use self::poller::Poller;
pub(crate) use self::queue::Queue;
use self::sender::{Prepared, Sender};
use super::Part;
use super::asker::{Asker, Throttled};
use super::language::{Events, Language};
use super::line::Line;
use super::role::Role;
use super::subscriber::Goal;
use super::target::{Place, Target};
use crate::connection::connect_any;
use crate::error::BenchError;
use crate::http::{Caller, Service};
use crate::options::{HttpOptions, HttpProtocol, Options};
use crate::pace::Pace;
use crate::workload::{Workload, texts};

/// Consumers that a stream may have.
const CONSUMERS_MAX: u32 = 20;

/// The times of a connection's requests, if they have any.
type PaceOf<'p> = dyn Fn(u32) -> Option<Pace> + 'p;

impl Part {
    /// Has calls over HTTP go elsewhere.
    pub(crate) fn call_instead(&mut self, address: &str) {
        self.instead = Some(address.to_owned());
    }

    /// What the server answers to the first call of those that `add` adds. Nothing else is called.
    pub(crate) fn sample(
        mut self,
        add: impl FnOnce(&mut Self) -> Result<(), BenchError>,
    ) -> Result<Vec<u8>, BenchError> {
        self.is_sampled = true;
        add(&mut self)?;
        self.sample.ok_or(BenchError::NoEffect { option: "ceiling", needs: "a protocol over HTTP" })
    }

    /// Adds connections that put records or send messages.
    pub(super) fn senders(
        &mut self,
        options: &Options,
        http: &HttpOptions,
        target: &Target,
        batch_records: u32,
        pace: &PaceOf<'_>,
        is_stamped: bool,
    ) -> Result<(), BenchError> {
        let mut caller = Caller::open(http.service(), http, options.answer_timeout)?;
        let signer = caller.signer().clone();
        let mut known: BTreeMap<ShardIndex, Vec<Prepared>> = BTreeMap::new();
        let places = match http.protocol {
            HttpProtocol::Kinesis => {
                let shards = target.open_shards()?;
                let mut workload = Workload::new(options, batch_records, &shards);
                for shard in &shards {
                    let pool = workload.pool(shard)?;
                    let prepared = pool.into_iter().map(|batch| of_records(&target.stream.name, batch));
                    known.insert(shard.index, prepared.collect::<Result<_, _>>()?);
                }
                target.places(options.connections, &shards).iter().map(|place| place.shard.index).collect()
            }
            HttpProtocol::Sqs => {
                let prepared = of_messages(target.queue()?, &texts(options, batch_records));
                known.insert(ShardIndex(0), vec![prepared]);
                vec![ShardIndex(0); options.connections as usize]
            }
        };
        if let Some(first) = known.values().flatten().next().filter(|_| self.is_sampled) {
            self.sample = Some(caller.exchange(first.operation, &first.body)?);
        }
        for (connection, shard) in (0..).zip(places) {
            let pool = known.get(&shard).cloned().unwrap_or_default();
            let load = Sender::new(signer.clone(), pool, connection as usize, is_stamped);
            let role = Asker::new(load, options.in_flight, pace(connection), Throttled::Retry);
            self.call(http, Box::new(role))?;
        }
        Ok(())
    }

    /// Adds connections that get records, or receive and delete messages.
    pub(super) fn readers(
        &mut self,
        options: &Options,
        http: &HttpOptions,
        target: &Target,
        shards: &[ShardDescription],
        pace: &PaceOf<'_>,
    ) -> Result<(), BenchError> {
        let mut caller = Caller::open(http.service(), http, options.answer_timeout)?;
        let signer = caller.signer().clone();
        let mut known: BTreeMap<ShardIndex, Pages> = BTreeMap::new();
        let places = target.places(options.connections, shards);
        for connection in 0..options.connections {
            let role: Box<dyn Role> = match (http.protocol, places.get(connection as usize)) {
                (HttpProtocol::Sqs, _) | (HttpProtocol::Kinesis, None) => {
                    let load = Cycle::new(signer.clone(), target.queue()?.to_owned());
                    Box::new(Asker::new(load, options.in_flight, pace(connection), Throttled::Retry))
                }
                (HttpProtocol::Kinesis, Some(Place { shard, ordinal, siblings })) => {
                    let pages = match known.get(&shard.index) {
                        Some(pages) => pages.clone(),
                        None => {
                            let pages = walk(&mut caller, options, target, shard)?;
                            if self.is_sampled && self.sample.is_none() {
                                self.sample = Some(pages.sample(&mut caller)?);
                            }
                            known.insert(shard.index, pages.clone());
                            pages
                        }
                    };
                    let load = pages.reader(signer.clone(), *ordinal, *siblings);
                    Box::new(Asker::new(load, options.in_flight, pace(connection), Throttled::Retry))
                }
            };
            self.call(http, role)?;
        }
        Ok(())
    }

    /// Adds connections to which records are pushed, dealt out to the shards and to as many consumers as that takes.
    pub(crate) fn pushed(
        &mut self,
        options: &Options,
        http: &HttpOptions,
        target: &Target,
        shards: &[ShardDescription],
        goal: Goal,
        is_stamped: bool,
    ) -> Result<(), BenchError> {
        let max = u64::from(CONSUMERS_MAX) * shards.len() as u64;
        let value = options.connections.into();
        if value > max {
            return Err(BenchError::Option { option: "connections", value, min: 1, max });
        }
        let mut caller = Caller::open(http.service(), http, options.answer_timeout)?;
        let names = json!({ "StreamName": target.stream.name.to_string() });
        let summary = caller.call("DescribeStreamSummary", &names)?;
        let stream = summary.pointer("/StreamDescriptionSummary/StreamARN").cloned().unwrap_or_default();
        let mut consumers: Vec<String> = Vec::new();
        for Place { shard, ordinal, .. } in target.places(options.connections, shards) {
            if ordinal as usize >= consumers.len() {
                let input = json!({ "StreamARN": stream, "ConsumerName": format!("bench-{ordinal}") });
                let consumer = consumer_arn(&mut caller, &input)?;
                consumers.push(consumer);
            }
            let consumer = consumers.get(ordinal as usize).cloned().unwrap_or_default();
            let role = Subscriber::new(caller.signer().clone(), consumer, &shard, goal, is_stamped);
            let (socket, address) = connect_any(&http.endpoint)?;
            let language = Language::Events(Events::default());
            let is_lively = goal != Goal::Idle;
            self.lines.push(Line::over_http(socket, address, Box::new(role), language, is_lively));
        }
        Ok(())
    }

    /// Adds connections that wait for messages and delete them.
    pub(crate) fn pollers(
        &mut self,
        options: &Options,
        http: &HttpOptions,
        target: &Target,
        connections: u32,
    ) -> Result<(), BenchError> {
        let signer = Caller::open(http.service(), http, options.answer_timeout)?.signer().clone();
        for _ in 0..connections {
            self.call(http, Box::new(Poller::new(signer.clone(), target.queue()?.to_owned())))?;
        }
        Ok(())
    }

    fn call(&mut self, http: &HttpOptions, role: Box<dyn Role>) -> Result<(), BenchError> {
        let endpoint = self.instead.as_deref().unwrap_or(&http.endpoint);
        let (socket, address): (TcpStream, SocketAddr) = connect_any(endpoint)?;
        self.lines.push(Line::over_http(socket, address, role, Language::Calls, true));
        Ok(())
    }
}

/// Registers a consumer, or finds the one of this name.
fn consumer_arn(caller: &mut Caller, input: &serde_json::Value) -> Result<String, BenchError> {
    let known = caller.call("DescribeStreamConsumer", input);
    let (found, pointer) = match known {
        Ok(found) => (found, "/ConsumerDescription/ConsumerARN"),
        Err(BenchError::Called { .. }) => {
            (caller.call("RegisterStreamConsumer", input)?, "/Consumer/ConsumerARN")
        }
        Err(error) => return Err(error),
    };
    Ok(found.pointer(pointer).and_then(|arn| arn.as_str()).unwrap_or_default().to_owned())
}

impl HttpOptions {
    /// The service that is called.
    pub(crate) fn service(&self) -> Service {
        match self.protocol {
            HttpProtocol::Kinesis => Service::KINESIS,
            HttpProtocol::Sqs => Service::SQS,
        }
    }
}
