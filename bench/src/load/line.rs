//! One connection of a thread: its socket, what has come in, what is to go out, and its role.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::language::Language;
use super::role::{Desk, Role};
use crate::connection::{Control, Inbox};
use crate::error::BenchError;
use crate::ring::{Gather, Ring};

/// Large answers that the receiving buffer has room for, so that few of them are cut by its end and moved.
const INBOX_ANSWERS: usize = 4;
/// Room for a thousand small answers.
const INBOX_BYTES: usize = 64 << 10;
/// Room of a connection on which little is expected.
const INBOX_BYTES_IDLE: usize = 1 << 10;

/// A connection with its role.
pub(super) struct Line {
    index: u32,
    socket: TcpStream,
    address: SocketAddr,
    inbox: Inbox,
    language: Language,
    /// What waits to be sent while `sending` is in the ring.
    out: Box<Gather>,
    /// What collects next; `None` while the ring has it.
    spare: Option<Box<Gather>>,
    role: Box<dyn Role>,
    /// When something was heard last, or when something was first owed after nothing was.
    heard_ns: u64,
    /// When the role wants another turn.
    wake_ns: Option<u64>,
}

impl Line {
    /// Takes over a connection whose handshake is done. Without `is_lively`, little is expected to come in.
    pub(super) fn new(control: Control, role: Box<dyn Role>, is_lively: bool) -> Self {
        let address = control.address();
        let inbox = Inbox::new(room(role.as_ref(), is_lively));
        Self::with(control.into_stream(), address, role, inbox, Language::Frames)
    }

    /// Takes over a connection to the HTTP port.
    pub(super) fn over_http(
        socket: TcpStream,
        address: SocketAddr,
        role: Box<dyn Role>,
        language: Language,
        is_lively: bool,
    ) -> Self {
        let inbox = Inbox::of_http(room(role.as_ref(), is_lively));
        Self::with(socket, address, role, inbox, language)
    }

    fn with(
        socket: TcpStream,
        address: SocketAddr,
        role: Box<dyn Role>,
        inbox: Inbox,
        language: Language,
    ) -> Self {
        Self {
            index: 0,
            socket,
            address,
            inbox,
            language,
            out: Box::default(),
            spare: Some(Box::default()),
            role,
            heard_ns: 0,
            wake_ns: None,
        }
    }

    /// Begins: asks for what comes in, and takes its first turn.
    pub(super) fn begin(
        &mut self,
        index: u32,
        now_ns: u64,
        desk: &mut Desk<'_>,
        ring: &mut Ring,
    ) -> Result<(), BenchError> {
        self.index = index;
        self.listen(ring)?;
        self.pump(now_ns, desk, ring)
    }

    /// When it wants a turn even if nothing comes in.
    pub(super) fn wake_ns(&self) -> Option<u64> {
        self.wake_ns
    }

    /// Lets the role queue requests, and hands them to the ring.
    pub(super) fn pump(
        &mut self,
        now_ns: u64,
        desk: &mut Desk<'_>,
        ring: &mut Ring,
    ) -> Result<(), BenchError> {
        if self.role.owed() == 0 {
            // If something is owed after this, silence begins now.
            self.heard_ns = now_ns;
        }
        self.wake_ns = self.role.pump(&mut desk.turn(now_ns, &mut self.out));
        self.send(ring)
    }

    /// Takes in what was received, answers what it asks for and goes on listening.
    pub(super) fn received(
        &mut self,
        buffer: Vec<u8>,
        result: io::Result<usize>,
        now_ns: u64,
        desk: &mut Desk<'_>,
        ring: &mut Ring,
    ) -> Result<(), BenchError> {
        let address = self.address;
        self.inbox.take_back(buffer, result.as_ref().copied().unwrap_or(0));
        match result {
            Ok(0) => return Err(BenchError::Closed { address, unanswered: self.role.owed() }),
            Ok(_) => {}
            Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(self.broke(source)),
        }
        self.heard_ns = now_ns;
        while let Some((response, body)) = self.language.next(&mut self.inbox, address)? {
            self.role.take(&mut desk.turn(now_ns, &mut self.out), response, body)?;
        }
        self.listen(ring)?;
        self.pump(now_ns, desk, ring)
    }

    /// Goes on with what was queued while the ring was sending.
    pub(super) fn sent(
        &mut self,
        mut gather: Box<Gather>,
        result: io::Result<usize>,
        ring: &mut Ring,
    ) -> Result<(), BenchError> {
        match result {
            Ok(bytes) => gather.advance(bytes),
            Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(self.broke(source)),
        }
        if !gather.is_empty() {
            return ring.send(self.index, &self.socket, gather).map_err(|source| self.broke(source));
        }
        self.spare = Some(gather);
        self.send(ring)
    }

    /// Whether the role has come to its end, without having been told.
    pub(super) fn is_over(&self) -> bool {
        self.role.is_over()
    }

    /// Whether everything that was begun is done.
    pub(super) fn is_finished(&mut self, now_ns: u64, desk: &mut Desk<'_>) -> bool {
        self.role.is_finished(&desk.turn(now_ns, &mut self.out))
    }

    /// Counts what could not be finished.
    pub(super) fn give_up(&mut self, now_ns: u64, desk: &mut Desk<'_>) -> Result<(), BenchError> {
        self.role.give_up(&mut desk.turn(now_ns, &mut self.out))
    }

    /// Whether answers are owed and nothing has come for too long.
    pub(super) fn check_silence(&self, now_ns: u64, answer_timeout: Duration) -> Result<(), BenchError> {
        let waited = Duration::from_nanos(now_ns.saturating_sub(self.heard_ns));
        let unanswered = self.role.owed();
        if unanswered > 0 && waited > answer_timeout {
            return Err(BenchError::Silent { address: self.address, unanswered, waited });
        }
        Ok(())
    }

    /// Closes the connection, so that the ring lets go of it.
    pub(super) fn close(&self) {
        // The other side may have closed it already.
        _ = self.socket.shutdown(Shutdown::Both);
    }

    pub(super) fn broke(&self, source: io::Error) -> BenchError {
        BenchError::Connection { address: self.address, source }
    }

    fn listen(&mut self, ring: &mut Ring) -> Result<(), BenchError> {
        let (buffer, start) = self.inbox.lend();
        ring.receive(self.index, &self.socket, buffer, start).map_err(|source| self.broke(source))
    }

    fn send(&mut self, ring: &mut Ring) -> Result<(), BenchError> {
        if self.out.is_empty() {
            return Ok(());
        }
        let Some(spare) = self.spare.take() else { return Ok(()) };
        let gather = std::mem::replace(&mut self.out, spare);
        ring.send(self.index, &self.socket, gather).map_err(|source| self.broke(source))
    }
}

fn room(role: &dyn Role, is_lively: bool) -> usize {
    if is_lively { INBOX_BYTES + INBOX_ANSWERS * role.answer_bytes() } else { INBOX_BYTES_IDLE }
}
