//! The way from core to core: a bounded mailbox for each, and the courier who takes a sender's requests there together.

use std::future::Future;

use async_channel::{Receiver, Sender};

use super::limits::MAILBOX_LETTERS_MAX;
use super::request::{Letter, Request, Requests};

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

/// Collects the requests that one sender has for other cores, so that those of one read cross in one letter per core.
#[derive(Debug, Default)]
pub struct Courier {
    bags: Vec<(u32, Vec<Request>)>,
}

impl Courier {
    /// A courier without letters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn take(&mut self, core: u32, request: Request) {
        match self.bags.iter_mut().find(|(to, _)| *to == core) {
            Some((_, bag)) => bag.push(request),
            None => self.bags.push((core, vec![request])),
        }
    }

    /// Delivers what was collected. Waits while a box is full, and so slows the sender. What cannot be delivered is answered by the
    /// loss of its way back.
    pub async fn deliver(&mut self, post: &Post) {
        for (core, bag) in &mut self.bags {
            if !bag.is_empty() {
                let requests = Requests(std::mem::take(bag));
                // A core that has gone drops the requests, whose senders then see that nobody answers.
                let _ = post.send(*core, Letter::Requests(requests)).await;
            }
        }
    }
}
