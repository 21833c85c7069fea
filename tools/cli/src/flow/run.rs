//! A run: a server, its writers and readers, looks at short intervals, and crashes at moments drawn by chance.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidemill_client::{Client, ClientOptions, ProducerOptions, Quota, RetryPolicy, Settings, StreamName};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::FlowError;
use super::host::Host;
use super::ledger::Ledger;
use super::look::{Look, look};
use super::plan::{StreamPlan, plan};
use super::reader::{Checked, Source, follow, replay, replay_all};
use super::record::key_of;
use super::report::{Bound, Report, Seen};
use super::writer::{Written, write};
use crate::output::{Output, note};
use crate::quantity::show_bytes;

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Between two lines that tell how far the run is.
const TELL_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of one stream that wait for an answer.
const UNDER_WAY_BYTES_MAX: usize = 8 << 20;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) data: PathBuf,
    pub(crate) live_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) bytes_per_second: u64,
    pub(crate) kills: u32,
    pub(crate) segment_bytes: u64,
    pub(crate) lanes: u64,
    pub(crate) record_bytes: u64,
    pub(crate) seed: u64,
    pub(crate) settings: Vec<String>,
    pub(crate) interrupt: Arc<AtomicBool>,
}

type Task = JoinHandle<Result<(), FlowError>>;

/// A run on its way.
struct Run {
    options: Options,
    host: Host,
    bound: Bound,
    seen: Seen,
    written: Arc<Written>,
    checked: Arc<Checked>,
    tasks: Vec<Task>,
    runtime: Runtime,
    killed: u32,
    restart_max: Duration,
    began: Instant,
    told: Instant,
}

/// Runs, prints what was seen, and fails if anything was not as it is promised.
pub(crate) fn run(options: Options, output: Output) -> Result<(), FlowError> {
    let streams = plan(options.live_bytes, options.bytes_per_second)?;
    let mut settings = vec![
        format!("data.lanes={}", options.lanes),
        format!("storage.segment_size={}B", options.segment_bytes),
    ];
    settings.extend(options.settings.iter().cloned());
    let host = Host::start(&options.data, settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| FlowError::Server(error.to_string()))?;
    let mut run = Run {
        bound: Bound::new(options.segment_bytes, options.lanes),
        options,
        host,
        seen: Seen::default(),
        written: Arc::default(),
        checked: Arc::default(),
        tasks: Vec::new(),
        runtime,
        killed: 0,
        restart_max: Duration::ZERO,
        began: Instant::now(),
        told: Instant::now(),
    };
    let (client, sources) = run.begin(&streams)?;
    run.flow()?;
    let report = run.end(&client, &sources)?;
    let printed = output.print(&report, Report::text);
    printed.map_err(|error| FlowError::File { what: "output".to_owned(), why: error.to_string() })?;
    if report.seen.looks_over > 0 {
        let Look { disk_bytes, live_bytes, .. } = report.seen.worst;
        let allowed = report.bound.allowed(live_bytes);
        return Err(FlowError::Disk { disk: disk_bytes, live: live_bytes, allowed });
    }
    Ok(())
}

impl Run {
    /// Makes the streams, and begins to write and to read.
    fn begin(&mut self, streams: &[StreamPlan]) -> Result<(Client, Vec<Source>), FlowError> {
        let address = self.host.address();
        let runtime = &self.runtime;
        let options = ClientOptions { retry: RetryPolicy::default(), ..ClientOptions::default() };
        let client = runtime.block_on(Client::connect(&address, options));
        let client = client.map_err(|error| FlowError::Server(error.to_string()))?;
        let mut sources = Vec::new();
        for (index, stream) in (0..).zip(streams) {
            let name = create(runtime, &client, stream)?;
            let shards = 0..stream.rates.len() as u32;
            let ledgers: Vec<Arc<Ledger>> = shards
                .map(|shard| Arc::new(Ledger::new(index, stream, shard, self.options.record_bytes)))
                .collect();
            let options =
                ProducerOptions { buffer_bytes_max: UNDER_WAY_BYTES_MAX, ..ProducerOptions::default() };
            let producer = runtime
                .block_on(client.producer(&name, options))
                .map_err(|error| request(stream.name, "open", &error))?;
            for (ledger, rate) in ledgers.iter().zip(&stream.rates) {
                let key = key_of(stream, ledger.shard);
                let written = Arc::clone(&self.written);
                let task = write(producer.clone(), Arc::clone(ledger), key, *rate, written);
                self.tasks.push(runtime.spawn(task));
            }
            let source = Source { name, ledgers };
            let checked = Arc::clone(&self.checked);
            self.tasks.push(runtime.spawn(follow(client.clone(), source.clone(), checked)));
            sources.push(source);
        }
        let checked = Arc::clone(&self.checked);
        self.tasks.push(runtime.spawn(replay_all(client.clone(), sources.clone(), checked)));
        Ok((client, sources))
    }

    fn written_bytes(&self) -> u64 {
        self.written.bytes.load(Ordering::Relaxed)
    }

    /// Looks, and kills, until enough has flowed.
    fn flow(&mut self) -> Result<(), FlowError> {
        let mut chance = self.options.seed;
        let mut draw = move || {
            // An LCG's upper bits are enough to choose moments.
            chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (chance >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let (total, kills) = (self.options.total_bytes, self.options.kills);
        let moments: Vec<u64> = (0..kills)
            .map(|kill| ((f64::from(kill) + draw()) / f64::from(kills) * total as f64) as u64)
            .collect();
        while self.written_bytes() < total {
            self.is_well()?;
            self.look()?;
            let next = moments.get(self.killed as usize);
            if next.is_some_and(|moment| self.written_bytes() >= *moment) {
                std::thread::sleep(LOOK_INTERVAL.mul_f64(draw()));
                self.kill()?;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Fails if the server or one of the tasks has ended by itself, or if a signal came.
    fn is_well(&mut self) -> Result<(), FlowError> {
        if self.options.interrupt.load(Ordering::Relaxed) {
            return Err(FlowError::Interrupted);
        }
        self.host.check()?;
        if let Some(index) = self.tasks.iter().position(JoinHandle::is_finished) {
            let task = self.tasks.swap_remove(index);
            ended(self.runtime.block_on(task))?;
            return Err(FlowError::Server("a task of the run has ended".to_owned()));
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), FlowError> {
        let seen = look(&self.host.admin(), &self.options.data)?;
        // By then the oldest records of the streams that keep a minute have begun to go.
        let is_steady = self.began.elapsed() > super::plan::AGE;
        self.seen.add(seen, &self.bound, is_steady);
        if self.told.elapsed() >= TELL_INTERVAL {
            self.told = Instant::now();
            note(format_args!(
                "tidemill: {} of {} written, {} live, {} dead, {} on the disk (factor {:.2}, worst {:.2}, over at {} of {} looks), write amplification {:.2}, {} kills, {} checked",
                show_bytes(self.written_bytes()),
                show_bytes(self.options.total_bytes),
                show_bytes(seen.live_bytes),
                show_bytes(seen.dead_bytes),
                show_bytes(seen.disk_bytes),
                self.bound.factor(&seen),
                self.seen.worst_factor,
                self.seen.looks_over,
                self.seen.looks,
                self.seen.write_amplification(),
                self.killed,
                show_bytes(self.checked.bytes.load(Ordering::Relaxed)),
            ));
        }
        Ok(())
    }

    fn kill(&mut self) -> Result<(), FlowError> {
        self.host.kill()?;
        self.killed += 1;
        self.seen.end_process();
        let down = Instant::now();
        self.host.restart()?;
        self.restart_max = self.restart_max.max(down.elapsed());
        Ok(())
    }

    /// Lets writers and readers end, reads everything once more, stops the server and has its files verified.
    fn end(&mut self, client: &Client, sources: &[Source]) -> Result<Report, FlowError> {
        let elapsed = self.began.elapsed();
        self.written.stop.store(true, Ordering::Relaxed);
        self.checked.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            ended(self.runtime.block_on(task))?;
        }
        let before = self.checked.bytes.load(Ordering::Relaxed);
        for source in sources {
            self.runtime.block_on(replay(client, source, &self.checked))?;
        }
        let retained_bytes = self.checked.bytes.load(Ordering::Relaxed) - before;
        self.look()?;
        self.host.stop()?;
        verify(&self.options.data)?;
        let totals = sources.iter().flat_map(|source| &source.ledgers).map(|ledger| ledger.totals());
        let (records, bytes) = totals.fold((0, 0), |sum, (records, bytes)| (sum.0 + records, sum.1 + bytes));
        Ok(Report {
            elapsed_ms: millis(elapsed),
            flowed_bytes: bytes,
            flowed_records: records,
            unknown_records: self.written.unknown.load(Ordering::Relaxed),
            kills: self.killed,
            restart_ms_max: millis(self.restart_max),
            write_amplification: self.seen.write_amplification(),
            seen: self.seen.clone(),
            bound: self.bound,
            checked_records: self.checked.records.load(Ordering::Relaxed),
            checked_bytes: self.checked.bytes.load(Ordering::Relaxed),
            passes: self.checked.passes.load(Ordering::Relaxed),
            retained_bytes,
        })
    }
}

fn create(runtime: &Runtime, client: &Client, stream: &StreamPlan) -> Result<StreamName, FlowError> {
    let name = StreamName::new(stream.name).map_err(|error| request(stream.name, "create", &error))?;
    let settings = Settings {
        quota: Some(Quota::OFF),
        retention_ms: stream.age.map(millis),
        retention_bytes: stream.bytes,
        ..Settings::default()
    };
    let created = client.admin();
    let created = created.create_stream(&name, stream.rates.len() as u32, settings);
    runtime.block_on(created).map_err(|error| request(stream.name, "create", &error))?;
    Ok(name)
}

/// Reads every byte of the files, as `tidemill log verify` does.
fn verify(data: &Path) -> Result<(), FlowError> {
    let failed = |why: String| FlowError::File { what: format!("log verify {}", data.display()), why };
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    let verified = command.args(["log", "verify"]).arg(data).stdin(Stdio::null()).output();
    let verified = verified.map_err(|error| failed(error.to_string()))?;
    if verified.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&verified.stderr).trim().to_owned()))
}

fn ended(task: Result<Result<(), FlowError>, tokio::task::JoinError>) -> Result<(), FlowError> {
    task.unwrap_or_else(|error| Err(FlowError::Server(error.to_string())))
}

fn request(stream: &'static str, what: &'static str, error: &dyn std::error::Error) -> FlowError {
    FlowError::Request { stream, what, why: crate::failure::chain(error) }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
