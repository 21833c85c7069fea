//! The AWS protocols, without what carries them: a call and its caller in, an answer out.
//!
//! Owns the encodings, the tables of operations and shapes, validation, and one folder for each service. Promises that no body makes it panic or
//! take more memory than `limits` say. Leaves out HTTP, signatures and credentials: the front has them, and checks them before a call gets here.

mod appends;
mod base64;
mod cbor;
mod check;
mod error;
mod eventstream;
mod front;
#[cfg(test)]
mod fuzz;
mod hexadecimal;
mod json;
mod kinesis;
mod limits;
mod message;
mod output;
mod parameters;
mod query;
mod query_input;
mod seal;
mod shape;
mod sqs;
mod structure;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod xml;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

pub use error::Fault;
pub use front::{Front, FrontSettings};
pub use message::{Answer, Encoding, Payload, Piece, Pieces, Request};
pub use parameters::Parameters;
pub use query::QueryRequest;

use self::appends::Pending;
use self::seal::Seal;
use crate::gate::budget::Budget;
pub use crate::gate::identity::Caller;
use crate::service::catalog::AccountLimits;
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
    /// What all streams together may have.
    pub limits: AccountLimits,
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
    /// Writes a refusal in its form.
    refuse: fn(Encoding, &Fault) -> Answer,
    /// How older clients call it.
    query: Option<InQuery>,
}

/// A service in the query protocol. Its resources have paths, which may be called, too.
struct InQuery {
    version: &'static str,
    knows: fn(&str) -> bool,
    answer: for<'a> fn(&'a Aws, &'a str, &'a QueryRequest<'a>) -> Answering<'a>,
}

/// Every service.
const SERVICES: &[Service] = &[
    Service {
        target: kinesis::TARGET,
        name: "kinesis",
        answer: kinesis::answer,
        refuse: Answer::refusal,
        query: None,
    },
    Service {
        target: sqs::TARGET,
        name: "sqs",
        answer: sqs::answer,
        refuse: sqs::refuse,
        query: Some(InQuery { version: sqs::VERSION, knows: sqs::knows, answer: sqs::answer_query }),
    },
];

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
        let operation = request.target.split_once('.').map_or("", |(_, operation)| operation);
        match Service::of_target(request.target) {
            Some(service) => (service.answer)(self, operation, request).await,
            None => Answer::refusal(request.encoding, &Fault::unknown_operation()),
        }
    }

    /// Answers a call in the query protocol. Whoever signed it meant the service of this name.
    pub async fn answer_query(&self, request: &QueryRequest<'_>, signed_for: Option<&str>) -> Answer {
        let action = request.parameters.get(query::ACTION).unwrap_or_default();
        let version = request.parameters.get(query::VERSION);
        let found = Service::of_action(action, version);
        let found = found.filter(|(service, _)| signed_for.is_none_or(|name| name == service.name));
        match found {
            Some((_, in_query)) => (in_query.answer)(self, action, request).await,
            None => {
                let message = format!("The action {action} is not valid for this endpoint.");
                query::refusal(&Fault { message: message.into(), ..Fault::unknown_operation() }, request.id)
            }
        }
    }
}

impl Service {
    /// The service of a target, if there is one.
    fn of_target(target: &str) -> Option<&'static Self> {
        let (service, _) = target.split_once('.')?;
        SERVICES.iter().find(|known| known.target == service)
    }

    /// The service of an action, which its version tells where several have actions of this name.
    fn of_action(action: &str, version: Option<&str>) -> Option<(&'static Self, &'static InQuery)> {
        let mut all = SERVICES.iter().filter_map(|known| Some((known, known.query.as_ref()?)));
        all.find(|(_, query)| (query.knows)(action) && version.is_none_or(|version| version == query.version))
    }

    /// Whether the operations of a target are called on the paths of resources, too.
    fn has_paths(target: &str) -> bool {
        Self::of_target(target).is_some_and(|service| service.query.is_some())
    }

    /// What signatures call the service of a target, if there is one.
    fn name_of(target: &str) -> Option<&'static str> {
        Self::of_target(target).map(|known| known.name)
    }

    /// A refusal in the form of the service of a target.
    fn refusal(target: &str, encoding: Encoding, fault: &Fault) -> Answer {
        Self::of_target(target).map_or(Answer::refusal as fn(_, &_) -> _, |known| known.refuse)(
            encoding, fault,
        )
    }
}
