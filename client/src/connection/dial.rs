//! Opens a socket and exchanges greetings.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tidemill_wire::RequestId;
use tidemill_wire::frame::{self, Frame};
use tidemill_wire::limits::{FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, PEER_NAME_BYTES_MAX, PROTOCOL_VERSION};
use tidemill_wire::message::{Encoder, Hello, Request, RequestBody, Response, ResponseBody, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::name;
use crate::{ClientError, ClientOptions, ProtocolError};

/// A socket on which both sides have greeted each other.
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) welcome: Welcome,
    /// What came behind the greeting.
    pub(super) received: BytesMut,
}

/// Bytes of the largest frame that is taken.
pub(super) fn frame_limit(options: &ClientOptions) -> u32 {
    options.frame_bytes_max.clamp(MESSAGE_BYTES_MAX, FRAME_BYTES_MAX)
}

pub(super) async fn dial(address: &Arc<str>, options: &ClientOptions) -> Result<Dialed, ClientError> {
    match tokio::time::timeout(options.connect_timeout, greet(address, options)).await {
        Ok(dialed) => dialed,
        Err(_) => {
            let reason = format!("no answer within {} ms", options.connect_timeout.as_millis());
            Err(cannot_connect(address, io::Error::new(io::ErrorKind::TimedOut, reason)))
        }
    }
}

async fn greet(address: &Arc<str>, options: &ClientOptions) -> Result<Dialed, ClientError> {
    let io = |error| cannot_connect(address, error);
    let protocol = |error| ClientError::Protocol { address: Arc::clone(address), source: Arc::new(error) };
    let mut stream = TcpStream::connect(&**address).await.map_err(io)?;
    // Frames are written whole, so waiting for more would only delay them.
    stream.set_nodelay(true).map_err(io)?;
    let peer = stream.peer_addr().map_err(io)?;
    let mut buffer = BytesMut::new();
    let client = options.name[..options.name.floor_char_boundary(PEER_NAME_BYTES_MAX)].to_owned();
    let hello = Hello { version_min: PROTOCOL_VERSION, version_max: PROTOCOL_VERSION, client };
    let request = Request { id: RequestId(0), body: RequestBody::Hello(hello) };
    Encoder::new().request(&mut buffer, &request, 0);
    stream.write_all(&buffer).await.map_err(io)?;
    buffer.clear();
    let Frame { message, .. } = loop {
        if let Some(frame) = frame::cut(&mut buffer, frame_limit(options)).map_err(|e| protocol(e.into()))? {
            break frame;
        }
        if stream.read_buf(&mut buffer).await.map_err(io)? == 0 {
            return Err(io(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before its greeting")));
        }
    };
    let welcome = match Response::decode(&message).map_err(|e| protocol(e.into()))?.body {
        ResponseBody::Welcome(welcome) => welcome,
        ResponseBody::Failed(failure) => return Err(ClientError::Refused(failure)),
        other => return Err(protocol(ProtocolError::Answer { request: "hello", answer: name(&other) })),
    };
    if welcome.version != PROTOCOL_VERSION {
        let (min, max) = (PROTOCOL_VERSION, PROTOCOL_VERSION);
        return Err(protocol(ProtocolError::Version { min, max, found: welcome.version }));
    }
    Ok(Dialed { stream, peer, welcome, received: buffer })
}

fn cannot_connect(address: &Arc<str>, source: io::Error) -> ClientError {
    ClientError::Connect { address: Arc::clone(address), source: Arc::new(source) }
}
