//! The AWS protocols, without what carries them: a call and its caller in, an answer out.
//!
//! Owns the encodings, the tables of operations and shapes, validation, and one folder for each service. Promises that no body makes it panic or
//! take more memory than `limits` say. Leaves out HTTP, signatures and credentials: the front has them, and checks them before a call gets here.

mod appends;
mod cbor;
mod check;
mod error;
mod eventstream;
mod front;
#[cfg(test)]
mod fuzz;
mod json;
mod kinesis;
mod limits;
mod message;
mod output;
mod seal;
mod shape;
#[cfg(test)]
mod tests;
mod value;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

pub use error::Fault;
pub use front::{Front, FrontSettings};
pub use message::{Answer, Caller, Encoding, Payload, Piece, Pieces, Request};

use self::appends::Pending;
use self::seal::Seal;
use crate::gate::budget::Budget;
use crate::shard::{Core, Ledger};

/// Who this server is to its AWS clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account that owns what is here: twelve digits.
    pub account: String,
    /// The region in ARNs.
    pub region: String,
    /// The partition in ARNs: `aws`.
    pub partition: String,
}

/// What the protocols are served with, the same on every core.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names the server in ARNs.
    pub identity: Identity,
    /// Authenticates the tokens that clients bring back; kept in the data directory, so that tokens survive a restart.
    pub secret: [u8; 32],
    /// How long subscriptions take.
    pub subscription: SubscriptionTimes,
}

/// How long subscriptions of registered consumers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionTimes {
    /// After which one ends.
    pub length: Duration,
    /// Between events that have no records.
    pub keep_alive: Duration,
    /// For which one is not taken over by another of the same consumer.
    pub hold: Duration,
}

impl SubscriptionTimes {
    /// Those of AWS.
    pub const PRODUCTION: Self = Self {
        length: Duration::from_secs(300),
        keep_alive: Duration::from_secs(5),
        hold: Duration::from_secs(5),
    };
    /// Short ones, which tests can wait for.
    pub const TEST_MIN: Self = Self {
        length: Duration::from_secs(3),
        keep_alive: Duration::from_millis(400),
        hold: Duration::from_millis(600),
    };
}

/// The AWS protocols on one core.
pub struct Aws {
    core: Rc<Core>,
    settings: Settings,
    seal: Seal,
    /// Room for events of subscriptions.
    events: Budget,
    /// Appends under way.
    appends: Rc<Ledger<Pending>>,
}

/// A service's answer on its way.
type Answering<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// A service: what its targets begin with, and who answers them.
struct Service {
    target: &'static str,
    /// What signatures call it.
    name: &'static str,
    answer: for<'a> fn(&'a Aws, &'a str, &'a Request<'a>) -> Answering<'a>,
}

/// Every service, a line each.
const SERVICES: &[Service] = &[Service { target: kinesis::TARGET, name: "kinesis", answer: kinesis::answer }];

impl Aws {
    /// The protocols on a core. `events` bounds the bytes of events of subscriptions that wait to be taken.
    #[must_use]
    pub fn new(core: Rc<Core>, settings: Settings, events: Budget) -> Rc<Self> {
        let seal = Seal::new(&settings.secret);
        Rc::new(Self { core, settings, seal, events, appends: Rc::default() })
    }

    /// Who this server is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.settings.identity
    }

    /// Answers a call; the time that it takes is bounded by the service.
    pub async fn answer(&self, request: &Request<'_>) -> Answer {
        let (service, operation) = request.target.split_once('.').unwrap_or_default();
        match SERVICES.iter().find(|known| known.target == service) {
            Some(service) => (service.answer)(self, operation, request).await,
            None => Answer::refusal(request.encoding, &Fault::unknown_operation()),
        }
    }
}

/// What signatures call the service of a target, if there is one.
fn service_name(target: &str) -> Option<&'static str> {
    let (service, _) = target.split_once('.')?;
    SERVICES.iter().find(|known| known.target == service).map(|known| known.name)
}
