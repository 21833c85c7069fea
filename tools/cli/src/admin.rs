//! A server's admin port, as commands use it: one request on one connection, and numbers out of the text of `/metrics`.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the largest answer that is taken.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What the port answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks and waits for the answer.
pub(crate) fn request(address: &str, method: &str, path: &str) -> Result<Answer> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut text = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| Error::new(ErrorKind::InvalidData, "the answer is not one of an admin port"))
}

fn connect(address: &str) -> Result<TcpStream> {
    let mut last = Error::new(ErrorKind::NotFound, format!("{address} leads nowhere"));
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// The sum of a family's samples over all its labels; 0 if there are none.
pub(crate) fn sum(metrics: &str, family: &str) -> u64 {
    let samples = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        let is_sample = rest.starts_with('{') || rest.starts_with(' ');
        is_sample.then(|| rest.rsplit_once(' ')).flatten()?.1.parse::<u64>().ok()
    });
    samples.sum()
}

/// The samples of a family, each with the value of one of its labels; those without the label are left out.
pub(crate) fn by_label<'a>(
    metrics: &'a str,
    family: &'a str,
    label: &'a str,
) -> impl Iterator<Item = (&'a str, f64)> {
    metrics.lines().filter_map(move |line| {
        let labels = line.strip_prefix(family)?.strip_prefix('{')?;
        let (labels, value) = labels.split_once("} ")?;
        let values = labels.split(',').filter_map(|pair| pair.split_once('='));
        let (_, found) = values.into_iter().find(|(name, _)| *name == label)?;
        Some((found.trim_matches('"'), value.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests;
