//! The way from core to core: a bounded mailbox for each, and the courier who takes a sender's requests there together.

use std::future::Future;
use std::rc::Rc;

use async_channel::{Receiver, Sender};
use futures_channel::oneshot;

use super::core::Core;
use super::ledger::{Claim, Ledger, Outcome};
use super::limits::MAILBOX_LETTERS_MAX;
use super::request::{Letter, Request};
use super::router::{Home, Unknown};
use crate::service::stream::{Append, AppendError};

/// Every core's letter box, seen from outside. Clones are the same; any thread may have one.
#[derive(Clone, Debug)]
pub struct Post {
    boxes: Vec<Sender<Letter>>,
}

/// The letters of one core.
#[derive(Debug)]
pub struct Mailbox {
    letters: Receiver<Letter>,
}

/// The core has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("core {core} takes no more letters")]
pub struct Gone {
    /// Which core.
    pub core: u32,
}

/// Why a letter was not taken at once.
#[derive(Debug)]
pub enum TrySendError {
    /// The box is full; here is the letter.
    Full(Letter),
    /// The core has gone.
    Gone(Gone),
}

impl Post {
    /// Mailboxes for `cores` cores.
    #[must_use]
    pub fn new(cores: u32) -> (Self, Vec<Mailbox>) {
        let pairs = (0..cores).map(|_| async_channel::bounded(MAILBOX_LETTERS_MAX));
        let (boxes, mailboxes) = pairs.map(|(sender, letters)| (sender, Mailbox { letters })).unzip();
        (Self { boxes }, mailboxes)
    }

    /// How many cores there are.
    #[must_use]
    pub fn cores(&self) -> u32 {
        u32::try_from(self.boxes.len()).expect("cores are counted in 32 bits")
    }

    /// Puts a letter into a core's box as soon as there is room.
    pub fn send(&self, core: u32, letter: Letter) -> impl Future<Output = Result<(), Gone>> + use<> {
        let letter_box = self.boxes.get(core as usize).cloned();
        async move {
            let letter_box = letter_box.ok_or(Gone { core })?;
            letter_box.send(letter).await.map_err(|_| Gone { core })
        }
    }

    /// Puts a letter into a core's box if there is room; gives it back if there is none.
    #[expect(clippy::result_large_err, reason = "the letter goes back to whoever sent it, as it is")]
    pub fn try_send(&self, core: u32, letter: Letter) -> Result<(), TrySendError> {
        let letter_box = self.boxes.get(core as usize).ok_or(TrySendError::Gone(Gone { core }))?;
        letter_box.try_send(letter).map_err(|error| match error {
            async_channel::TrySendError::Full(letter) => TrySendError::Full(letter),
            async_channel::TrySendError::Closed(_) => TrySendError::Gone(Gone { core }),
        })
    }

    /// As [`send`](Self::send), from a thread that may block.
    pub fn send_blocking(&self, core: u32, letter: Letter) -> Result<(), Gone> {
        let letter_box = self.boxes.get(core as usize).ok_or(Gone { core })?;
        letter_box.send_blocking(letter).map_err(|_| Gone { core })
    }
}

impl Mailbox {
    /// The next letter; `None` when nobody can send any more.
    pub(super) async fn receive(&self) -> Option<Letter> {
        self.letters.recv().await.ok()
    }

    /// The next letter, if one is there.
    pub(super) fn try_receive(&self) -> Option<Letter> {
        self.letters.try_recv().ok()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // The channel would keep what was not read for as long as anybody can send, and with it the ways back of those who wait.
        self.letters.close();
        while self.letters.try_recv().is_ok() {}
    }
}

/// Begins the appends of one sender, and collects those for other cores, so that those of one read cross in one letter per core.
pub struct Courier<C> {
    ledger: Rc<Ledger<C>>,
    bags: Vec<Bag>,
}

/// What goes to one core.
struct Bag {
    core: u32,
    appends: Vec<Append>,
    /// Where the ledger has them.
    tokens: Vec<usize>,
}

impl<C: Claim> Courier<C> {
    /// A courier without letters, whose sender's appends are kept in `ledger`.
    #[must_use]
    pub fn new(ledger: &Rc<Ledger<C>>) -> Self {
        Self { ledger: Rc::clone(ledger), bags: Vec::new() }
    }

    /// Begins an append: on this core it is queued now, for another one it is taken along. So the order of calls is the order in the
    /// shard, if what was collected is delivered before another courier is used. The claim is settled later, or now if the append is refused.
    pub fn append(&mut self, core: &Core, append: Append, claim: C) {
        let (stream, shard) = (append.stream, append.shard);
        match core.home(stream, shard) {
            Ok(Home::Here) => self.ledger.append(core.streams(), append, claim),
            Ok(Home::Core(other)) => self.take(other, append, claim),
            Err(Unknown::Stream) => self.ledger.refuse(claim, AppendError::UnknownStream { stream }),
            Err(Unknown::Shard) => self.ledger.refuse(claim, AppendError::UnknownShard { stream, shard }),
        }
    }

    pub(super) fn take(&mut self, core: u32, append: Append, claim: C) {
        let token = self.ledger.note(claim);
        match self.bags.iter_mut().find(|bag| bag.core == core) {
            Some(bag) => {
                bag.appends.push(append);
                bag.tokens.push(token);
            }
            None => self.bags.push(Bag { core, appends: vec![append], tokens: vec![token] }),
        }
    }

    /// Delivers what was collected. Waits while a box is full, and so slows the sender.
    pub async fn deliver(&mut self, core: &Core) {
        for bag in self.bags.iter_mut().filter(|bag| !bag.appends.is_empty()) {
            let (letter, tokens, answer) = bag.close();
            let ledger = Rc::clone(&self.ledger);
            core.spawn(async move { ledger.answered(&tokens, answer.await.unwrap_or_default()) });
            // A core that has gone drops the letter, and its way back with it.
            let _ = core.post().send(bag.core, letter).await;
        }
    }

    /// The letters that wait, and where the ledger has what is in them.
    #[cfg(test)]
    pub(super) fn letters(&mut self) -> Vec<(u32, Letter, Vec<usize>)> {
        let close = |bag: &mut Bag| {
            let (letter, tokens, _) = bag.close();
            (bag.core, letter, tokens)
        };
        self.bags.iter_mut().map(close).collect()
    }
}

impl Bag {
    /// What was collected as a letter, where the ledger has it, and the way in which it is answered.
    fn close(&mut self) -> (Letter, Vec<usize>, oneshot::Receiver<Vec<Outcome>>) {
        let (reply, answer) = oneshot::channel();
        let (appends, tokens) = (std::mem::take(&mut self.appends), std::mem::take(&mut self.tokens));
        (Letter::Request(Request::Appends { appends, reply }), tokens, answer)
    }
}
