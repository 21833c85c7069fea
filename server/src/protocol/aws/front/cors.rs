//! Which web pages may use the port (CORS): none, unless an origin is configured.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, StatusCode};

use super::limits::PREFLIGHT_SECONDS;
use crate::net::Body;

/// What is allowed to the page that a request comes from, if it comes from one.
pub(super) struct Grant {
    origin: HeaderValue,
}

impl Grant {
    /// Looks at a request's origin. A page that may not is answered as everybody, and its browser keeps the answer from it.
    pub(super) fn of(allowed: Option<&str>, headers: &HeaderMap) -> Option<Self> {
        let (allowed, origin) = (allowed?, headers.get(ORIGIN)?);
        let is_allowed = allowed == "*" || origin.as_bytes() == allowed.as_bytes();
        let origin = if allowed == "*" { HeaderValue::from_static("*") } else { origin.clone() };
        is_allowed.then_some(Self { origin })
    }

    /// The answer to a browser that asks first.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<hyper::Response<Body>> {
        if *method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = hyper::Response::new(Body::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let out = response.headers_mut();
        out.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        // The headers that clients sign differ; a wrong one does no harm, for it is signed or not looked at.
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            out.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        out.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
        self.stamp(out);
        Some(response)
    }

    /// Lets the page see an answer.
    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-amzn-requestid, date"));
        headers.insert(VARY, HeaderValue::from_static("origin"));
    }
}
