//! Names of queues: URLs and ARNs.

use super::super::Identity;

/// A queue's URL, for a client that has named the server so.
pub(super) fn queue_url(origin: &str, account: &str, name: &str) -> String {
    format!("{origin}/{account}/{name}")
}

/// Account and name in a queue's URL, or in its path alone. The host is not looked at: a server has many names.
pub(super) fn parse_url(url: &str) -> Option<(&str, &str)> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => url.strip_prefix('/')?,
    };
    let (account, name) = path.split_once('/')?;
    let is_whole = !account.is_empty() && !name.is_empty() && !name.contains('/');
    is_whole.then_some((account, name))
}

/// A queue's ARN.
pub(super) fn queue_arn(identity: &Identity, name: &str) -> String {
    let Identity { account, region, partition } = identity;
    format!("arn:{partition}:sqs:{region}:{account}:{name}")
}

/// The name in a queue's ARN; `None` if it is not of a queue of this server.
pub(super) fn queue_of_arn<'a>(identity: &Identity, arn: &'a str) -> Option<&'a str> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let is_ours = next()? == "arn"
        && next()? == identity.partition
        && next()? == "sqs"
        && next()? == identity.region
        && next()? == identity.account;
    let name = next()?;
    is_ours.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_whatever_their_host() {
        let check = |url, expected| assert_eq!(parse_url(url), expected, "{url}");
        check("http://localhost:7690/123456789012/orders", Some(("123456789012", "orders")));
        check("https://sqs.us-east-1.amazonaws.com/123456789012/o.fifo", Some(("123456789012", "o.fifo")));
        check("/123456789012/orders", Some(("123456789012", "orders")));
        check("http://localhost/orders", None);
        check("http://localhost", None);
        check("http://localhost/a/b/c", None);
        check("http://localhost/a/", None);
        check("orders", None);
        check("", None);
    }

    #[test]
    fn arns_of_other_accounts_regions_and_services_name_no_queue() {
        let identity = Identity {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            partition: "aws".to_owned(),
        };
        let arn = queue_arn(&identity, "orders");
        assert_eq!(arn, "arn:aws:sqs:us-east-1:123456789012:orders");
        let check = |arn: &str, expected| assert_eq!(queue_of_arn(&identity, arn), expected, "{arn}");
        check(&arn, Some("orders"));
        check(&arn.replace("us-east-1", "eu-west-1"), None);
        check(&arn.replace("123456789012", "210987654321"), None);
        check(&arn.replace(":sqs:", ":sns:"), None);
        check("arn:aws:sqs", None);
    }
}
