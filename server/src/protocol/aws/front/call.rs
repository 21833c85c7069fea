//! One call: its caller and its body, a service, and the answer.

use std::borrow::Cow;
use std::rc::Rc;

use futures_lite::StreamExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{StatusCode, Version};

use super::super::hexadecimal::uuid;
use super::super::message::JSON_1_0;
use super::super::{Answer, Encoding, Fault, Parameters, Payload, Piece, QueryRequest, Request, Service};
use super::Front;
use super::admission::Admitted;
use super::cors::Grant;
use super::form::{Form, is_of_page, of_page, origin as origin_of};
use super::limits::{DISCARD_BYTES_MAX, DISCARD_TIME_MAX, SMALL_ANSWER_BYTES, TOO_SLOW};
use super::signature::{AUTHORITY, Checked, Claim, Expected, Head, Presigned, SignatureError};
use crate::net::{Body, Part, discard_body};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

impl Front {
    /// Answers one request.
    pub(super) async fn answer(&self, request: hyper::Request<Incoming>) -> hyper::Response<Body> {
        let metrics = self.core.metrics();
        metrics.http_requests.increment();
        // Until the answer is written.
        let work = self.core.busy().begin();
        let (head, body) = request.into_parts();
        let grant = Grant::of(self.settings.http.allow_origin.as_deref(), &head.headers);
        if let Some(preflight) = grant.as_ref().and_then(|grant| grant.preflight(&head.method, &head.headers))
        {
            return preflight;
        }
        let (form, id) = (Form::of(&head), self.request_id());
        let is_forbidden =
            form == Form::Query && !self.asks_for_signatures() && grant.is_none() && is_of_page(&head);
        let called = if is_forbidden { Err(of_page()) } else { self.call(&head, form, &id, body).await };
        let answer = called.unwrap_or_else(|fault| form.refusal(&fault, &id));
        // Whoever waits for events gives the core nothing to do.
        let work = matches!(answer.payload, Payload::Whole(_)).then_some(work);
        let mut response = self.respond(answer, form, &id).map(|body| body.holding_any(work));
        if response.status().is_client_error() || response.status().is_server_error() {
            metrics.http_refusals.increment();
        }
        if let Some(grant) = grant {
            grant.stamp(response.headers_mut());
        }
        response
    }

    async fn call(
        &self,
        head: &Parts,
        form: Form<'_>,
        id: &str,
        mut body: Incoming,
    ) -> Result<Answer, Fault> {
        let headers = header_list(head);
        let signed = Head {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &headers,
        };
        let presigned = Presigned::read(signed.query);
        let checked = self.check_head(signed, presigned.as_ref(), form.target());
        let admitted = match checked.and_then(|checked| form.check(head).map(|()| checked)) {
            Ok(checked) => {
                let is_digested = checked.as_ref().is_some_and(Checked::needs_digest);
                self.admit_body(&mut body, is_digested).await.map(|body| (checked, body))
            }
            Err(fault) => Err(fault),
        };
        let (checked, Admitted { body, digest, room }) = match admitted {
            Ok(admitted) => admitted,
            Err(fault) => {
                // A peer that waits for leave to send its body is told at once, and one that was too slow had its time.
                if !head.headers.contains_key(EXPECT) && fault.status != TOO_SLOW {
                    discard_body(body, DISCARD_BYTES_MAX, DISCARD_TIME_MAX).await;
                }
                return Err(fault);
            }
        };
        let body = match &checked {
            Some(checked) => {
                let verified = checked.verify(&self.verifier, body, digest.as_ref()).await;
                verified.map_err(|error| self.disbelieve(&error))?
            }
            None => body,
        };
        let caller = checked.as_ref().map_or(&self.anybody, |checked| &checked.key.caller);
        // Only services whose resources have URLs want it.
        let has_urls = form == Form::Query || Service::has_paths(form.target());
        let known = self.settings.aws.public_url.as_deref().map(Cow::Borrowed);
        let origin =
            known.or_else(|| has_urls.then(|| Cow::Owned(origin_of(head, self.settings.tls.is_some()))));
        let origin = &origin.unwrap_or_default();
        let answer = match form {
            Form::Target { target, encoding } => {
                let encoding = encoding.ok_or_else(unknown_form)?;
                self.aws.answer(&Request { target, encoding, body, caller, origin }).await
            }
            Form::Query => {
                let parameters = Parameters::parse(signed.query.as_bytes(), &body)?;
                let request = QueryRequest { parameters, path: signed.path, caller, origin, id };
                self.aws.answer_query(&request, checked.as_ref().map(Checked::service)).await
            }
        };
        drop(room);
        self.core.metrics().inflight_bytes.set(self.room.used());
        Ok(answer)
    }

    /// Checks what can be without the body, or nothing where nobody is asked.
    fn check_head<'a>(
        &'a self,
        head: Head<'a>,
        presigned: Option<&'a Presigned>,
        target: &str,
    ) -> Result<Option<Checked<'a>>, Fault> {
        if !self.asks_for_signatures() {
            return Ok(None);
        }
        let expected = Expected {
            region: &self.settings.aws.region,
            service: Service::name_of(target),
            now: self.core.now().0 / 1_000,
            skew_seconds: self.settings.aws.clock_skew.as_secs(),
        };
        let checked =
            Claim::read(&head, presigned).and_then(|claim| self.verifier.check(head, claim, &expected));
        checked.map(Some).map_err(|error| self.disbelieve(&error))
    }

    fn disbelieve(&self, error: &SignatureError) -> Fault {
        self.core.metrics().http_signature_refusals.increment();
        tracing::debug!(%error, "a signature was refused");
        error.fault()
    }

    /// Puts an answer into HTTP's form. One that is large takes room until it is written.
    fn respond(&self, answer: Answer, form: Form<'_>, id: &str) -> hyper::Response<Body> {
        let large = match &answer.payload {
            Payload::Whole(bytes) if bytes.len() > SMALL_ANSWER_BYTES => Some(bytes.len() as u64),
            Payload::Whole(_) | Payload::Pieces(_) => None,
        };
        let (answer, room) = match large.map(|bytes| self.room.try_take(bytes)).transpose() {
            Ok(room) => (answer, room),
            Err(refused) => {
                let fault = Fault::unavailable(format!("no room for the answer: {refused}"));
                (form.refusal(&fault, id), None)
            }
        };
        let metrics = Rc::clone(self.core.metrics());
        let body = match answer.payload {
            Payload::Whole(bytes) => {
                metrics.sent_bytes.add(bytes.len() as u64);
                Body::new(bytes)
            }
            Payload::Pieces(pieces) => Body::in_pieces(pieces.map(move |Piece { bytes, room }| {
                metrics.sent_bytes.add(bytes.len() as u64);
                Part::new(bytes).holding_any(room)
            })),
        };
        let mut response = hyper::Response::new(body.holding_any(room));
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        for (name, value) in &answer.headers {
            let (name, value) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.insert(name, value);
            }
        }
        headers
            .insert(REQUEST_ID, HeaderValue::from_str(id).expect("digits and dashes are a header's value"));
        response
    }

    /// A name for a request: a UUID of version 4.
    fn request_id(&self) -> String {
        let (high, low) = (self.core.random_u64(), self.core.random_u64());
        let high = high & !0xf000 | 0x4000;
        let low = low & !(0b11 << 62) | 0b10 << 62;
        uuid((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}

fn unknown_form() -> Fault {
    let [json, cbor] = [Encoding::Json, Encoding::Cbor].map(Encoding::media_type);
    Fault {
        message: format!("the content type has to be {json}, {JSON_1_0} or {cbor}").into(),
        ..Fault::unknown_operation()
    }
}

/// The headers as signatures see them. HTTP/2 sends the host apart from the others, and it is signed by either name.
fn header_list(head: &Parts) -> Vec<(&str, &[u8])> {
    let mut list: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    if let Some(authority) = head.uri.authority() {
        let authority = authority.as_str().as_bytes();
        if head.version == Version::HTTP_2 {
            list.push((AUTHORITY, authority));
        }
        if !head.headers.contains_key(HOST) {
            list.push(("host", authority));
        }
    }
    list
}
