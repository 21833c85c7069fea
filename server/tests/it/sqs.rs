//! Queues over the HTTP port: both protocols on a whole server, without signatures.

mod fifo;
mod messages;
mod moves;
mod query;
mod queues;

use std::cell::RefCell;
use std::time::Duration;

use serde_json::{Value, json};
use tidemill_server::config::{Authentication, Config};

use crate::fixture::{Fixture, now};
use crate::http::{Answer, Peer};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const ACCOUNT: &str = "000000000000";

fn start() -> Fixture {
    start_with(|_| {})
}

fn start_with(change: impl FnOnce(&mut Config)) -> Fixture {
    Fixture::start_with(|config| {
        config.aws.authentication = Authentication::Off;
        change(config);
    })
}

/// A client of the queues, with a connection of its own.
struct Client(RefCell<Peer>);

impl Client {
    fn of(server: &Fixture) -> Self {
        Self(RefCell::new(Peer::connect(server)))
    }

    fn send(&self, operation: &str, input: &Value) {
        self.send_to("/", operation, input);
    }

    fn send_to(&self, path: &str, operation: &str, input: &Value) {
        let body = input.to_string();
        self.0.borrow_mut().send(format!(
            "POST {path} HTTP/1.1\r\nhost: queues.example\r\ncontent-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.{operation}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
    }

    fn answered(&self) -> Answer {
        self.0.borrow_mut().answered()
    }

    /// Asks for what must succeed.
    #[track_caller]
    fn ask(&self, operation: &str, input: &Value) -> Value {
        self.send(operation, input);
        output(operation, &self.answered())
    }

    /// Asks for what must be refused, by an error of this name and older name, whose text has this part.
    #[track_caller]
    fn refused(&self, operation: &str, input: &Value, (name, code): (&str, &str), part: &str) {
        self.send(operation, input);
        let answer = self.answered();
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 400, "{operation} {input}: {text}");
        let body: Value = serde_json::from_str(&text).expect("a refusal in JSON");
        assert_eq!(body["__type"], format!("com.amazonaws.sqs#{name}"), "{operation} {input}: {text}");
        assert_eq!(answer.header("x-amzn-query-error"), Some(format!("{code};Sender").as_str()));
        let message = body["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{operation} {input}: {message:?} lacks {part:?}");
    }

    /// Creates a queue and returns its URL.
    #[track_caller]
    fn create(&self, name: &str, attributes: &Value) -> String {
        let answer = self.ask("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes }));
        assert_eq!(answer["QueueUrl"], format!("http://queues.example/{ACCOUNT}/{name}"));
        text(&answer["QueueUrl"])
    }

    #[track_caller]
    fn send_message(&self, url: &str, body: &str) -> Value {
        self.ask("SendMessage", &json!({ "QueueUrl": url, "MessageBody": body }))
    }

    /// Receives what is there, with all that can be told of it.
    #[track_caller]
    fn receive(&self, url: &str) -> Vec<Value> {
        self.receive_with(url, &json!({}))
    }

    #[track_caller]
    fn receive_with(&self, url: &str, more: &Value) -> Vec<Value> {
        let mut input = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        input.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let mut answer = self.ask("ReceiveMessage", &input);
        match answer["Messages"].take() {
            Value::Array(messages) => messages,
            _ => Vec::new(),
        }
    }

    /// Receives until so many messages have come: those of a queue may be in several lanes, and come one lane at a time.
    #[track_caller]
    fn receive_all(&self, url: &str, count: usize) -> Vec<Value> {
        let (mut messages, began) = (Vec::new(), now());
        while messages.len() < count && began.elapsed() < PATIENCE {
            messages.extend(self.receive_with(url, &json!({ "WaitTimeSeconds": 1 })));
        }
        assert_eq!(messages.len(), count, "{messages:?}");
        messages
    }

    #[track_caller]
    fn attribute(&self, url: &str, name: &str) -> String {
        let answer = self.ask("GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": [name] }));
        text(&answer["Attributes"][name])
    }

    /// Waits until an attribute has a value.
    #[track_caller]
    fn until(&self, url: &str, name: &str, value: &str) {
        let began = now();
        loop {
            let found = self.attribute(url, name);
            if found == value {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{name} of {url} is {found} and does not become {value}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[track_caller]
fn output(operation: &str, answer: &Answer) -> Value {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{operation}: {text}");
    assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.0"));
    serde_json::from_str(&text).expect("an answer in JSON")
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["Body"].as_str().unwrap_or_default()).collect()
}

fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")
}

/// Errors by both of their names.
const NO_QUEUE: (&str, &str) = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue");
const INVALID: (&str, &str) = ("InvalidParameterValueException", "InvalidParameterValue");
const MISSING: (&str, &str) = ("MissingRequiredParameterException", "MissingParameter");
const UNKNOWN_ATTRIBUTE: (&str, &str) = ("InvalidAttributeName", "InvalidAttributeName");
const BAD_ATTRIBUTE: (&str, &str) = ("InvalidAttributeValue", "InvalidAttributeValue");
const BAD_RECEIPT: (&str, &str) = ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid");
const UNSUPPORTED: (&str, &str) = ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation");
