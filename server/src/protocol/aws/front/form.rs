//! How a request says what it asks for: a target with a body in some encoding, or the parameters of the query protocol.

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::http::request::Parts;

use super::super::query::{self, ACTION, is_form};
use super::super::{Answer, Encoding, Fault, Service};

/// Names the operation.
const TARGET: &str = "x-amz-target";
/// What browsers say of the page that they send a request for.
const FETCH_SITE: &str = "sec-fetch-site";
/// How the server is named by those who call it by no name.
const NAMELESS: &str = "localhost";

/// How a request says what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// By a target; the encoding is that of its media type, if it is one of ours.
    Target {
        /// Service and operation.
        target: &'a str,
        /// How the body is written.
        encoding: Option<Encoding>,
    },
    /// By parameters.
    Query,
}

impl<'a> Form<'a> {
    /// The form of a request: every header that decides about it but the media type is signed.
    pub(super) fn of(head: &'a Parts) -> Self {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let target = text(TARGET).map(str::trim).unwrap_or_default();
        let media_type = text(CONTENT_TYPE.as_str()).unwrap_or_default();
        let has_action = |query: &str| {
            let mut names = query.split('&').map(|parameter| parameter.split('=').next().unwrap_or_default());
            names.any(|name| name == ACTION)
        };
        let is_query = match head.method {
            Method::GET => head.uri.query().is_some_and(has_action),
            Method::POST => is_form(media_type),
            _ => false,
        };
        if is_query && target.is_empty() {
            return Self::Query;
        }
        Self::Target { target, encoding: Encoding::of_media_type(media_type) }
    }

    /// Service and operation, if the head tells them.
    pub(super) fn target(self) -> &'a str {
        match self {
            Self::Target { target, .. } => target,
            Self::Query => "",
        }
    }

    /// Whether the request is one that a service could answer.
    pub(super) fn check(self, head: &Parts) -> Result<(), Fault> {
        let Self::Target { target, .. } = self else { return Ok(()) };
        let is_at_home = head.uri.path() == "/" || Service::has_paths(target);
        if head.method == Method::POST && is_at_home && !target.is_empty() {
            return Ok(());
        }
        Err(Fault {
            message: "calls are sent by POST to /, with the operation in X-Amz-Target or, to services that know it, in the form of the query \
                      protocol"
                .into(),
            ..Fault::unknown_operation()
        })
    }

    /// A refusal in the form of the request.
    pub(super) fn refusal(self, fault: &Fault, id: &str) -> Answer {
        match self {
            Self::Target { target, encoding } => {
                Service::refusal(target, encoding.unwrap_or(Encoding::Json), fault)
            }
            Self::Query => query::refusal(fault, id),
        }
    }
}

/// Whether a browser has sent the request for a page that is not the server's own. It asks nobody before it sends a form or follows a link.
pub(super) fn is_of_page(head: &Parts) -> bool {
    let site = head.headers.get(FETCH_SITE);
    let is_own = |site: &HeaderValue| site == "none" || site == "same-origin";
    head.headers.contains_key(ORIGIN) || site.is_some_and(|site| !is_own(site))
}

/// Why such a request is not answered.
pub(super) fn of_page() -> Fault {
    let message = "requests of web pages are answered when http.allow_origin names their origin";
    Fault { name: "AccessDeniedException", status: 403, message: message.into() }
}

/// How the caller has named the server: scheme and host, with which it can be called again. A name that is none is not given back.
pub(super) fn origin(head: &Parts, is_tls: bool) -> String {
    let header = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| head.uri.authority().map(|authority| authority.as_str()));
    let is_name = |host: &&str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(fits)
    };
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{}", host.filter(is_name).unwrap_or(NAMELESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn the_form_is_told_by_target_media_type_and_method() {
        let check = |method, uri, headers: &[(&str, &str)], expected| {
            let head = head(method, uri, headers);
            assert_eq!(Form::of(&head), expected, "{method} {uri} {headers:?}");
        };
        let of = |target, encoding| Form::Target { target, encoding };
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let json = ("content-type", "application/x-amz-json-1.0");
        let target = ("x-amz-target", "AmazonSQS.ListQueues");
        check("POST", "/", &[form], Form::Query);
        check("POST", "/000000000000/orders", &[form], Form::Query);
        check("GET", "/?Version=2012-11-05&Action=ListQueues", &[], Form::Query);
        check("GET", "/?MyAction=ListQueues", &[], of("", None));
        check("DELETE", "/?Action=ListQueues", &[form], of("", None));
        check("POST", "/", &[json, target], of("AmazonSQS.ListQueues", Some(Encoding::Json)));
        check("POST", "/", &[form, target], of("AmazonSQS.ListQueues", None));
        check("POST", "/", &[json], of("", Some(Encoding::Json)));
    }

    #[test]
    fn paths_are_for_services_that_have_some() {
        let check = |method, path, target: &str, expected: bool| {
            let head = head(method, path, &[("x-amz-target", target)]);
            assert_eq!(Form::of(&head).check(&head).is_ok(), expected, "{method} {path} {target}");
        };
        check("POST", "/", "Kinesis_20131202.ListStreams", true);
        check("POST", "/0/orders", "Kinesis_20131202.ListStreams", false);
        check("POST", "/0/orders", "AmazonSQS.SendMessage", true);
        check("GET", "/", "AmazonSQS.SendMessage", false);
        check("POST", "/", "", false);
    }

    #[test]
    fn requests_of_pages_are_known() {
        let check = |headers: &[(&str, &str)], expected| {
            assert_eq!(is_of_page(&head("GET", "/", headers)), expected, "{headers:?}");
        };
        check(&[], false);
        check(&[("sec-fetch-site", "none")], false);
        check(&[("sec-fetch-site", "same-origin")], false);
        check(&[("sec-fetch-site", "cross-site")], true);
        check(&[("sec-fetch-site", "same-site")], true);
        check(&[("origin", "null")], true);
    }

    #[test]
    fn the_server_is_named_as_it_was_called() {
        let check = |uri: &str, host: Option<&str>, is_tls, expected: &str| {
            let headers: Vec<(&str, &str)> = host.map(|host| ("host", host)).into_iter().collect();
            assert_eq!(origin(&head("POST", uri, &headers), is_tls), expected);
        };
        check("/", Some("queues.example:7690"), false, "http://queues.example:7690");
        check("/", Some("[::1]:7690"), true, "https://[::1]:7690");
        check("http://of-http2:80/", None, false, "http://of-http2:80");
        check("/", Some("<script>"), false, "http://localhost");
        check("/", None, false, "http://localhost");
    }
}
