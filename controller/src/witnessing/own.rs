//! The controller as a witness of the sites' logs (C2SP tlog-witness): it keeps what it is about to
//! cosign before it does.

use std::sync::{Arc, Mutex, PoisonError};

use custody::SecretKey;
use custody::log::VerifierKey;
use custody::log::witness::{AddCheckpoint, Answer, decide};
use host::Clock;

use super::book::{Book, BookError};

/// The controller's witness. Has no `Debug`: it holds a key.
pub struct OwnWitness {
    vkey: VerifierKey,
    key: SecretKey,
    book: Arc<Book>,
    clock: Clock,
    /// One question at a time: what is decided on is what is replaced.
    turn: Mutex<()>,
}

impl OwnWitness {
    /// The witness `vkey`, whose secret half is `key`.
    #[must_use]
    pub fn new(vkey: VerifierKey, key: SecretKey, book: Arc<Book>, clock: Clock) -> Self {
        Self { vkey, key, book, clock, turn: Mutex::default() }
    }

    /// Its name and key.
    #[must_use]
    pub fn vkey(&self) -> &VerifierKey {
        &self.vkey
    }

    /// Answers `add-checkpoint` for the log with this key: the HTTP status and body. Blocks for one
    /// synced write.
    ///
    /// # Errors
    /// When what it saw cannot be read or kept: then it has not cosigned.
    pub fn answer(&self, log: &VerifierKey, body: &[u8]) -> Result<(u16, Vec<u8>), BookError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(request) = AddCheckpoint::read(body) else {
            return Ok((Answer::Malformed.status(), Vec::new()));
        };
        let answer = decide(&request, Some(log), self.book.seen(log.name())?);
        let body = match &answer {
            Answer::Cosign(seen) => {
                self.book.see(log.name(), *seen)?;
                let checkpoint = request.checkpoint.checkpoint();
                checkpoint.cosign(self.vkey.name(), &self.key, self.clock.now()).into_bytes()
            }
            Answer::Conflict { size } => format!("{size}\n").into_bytes(),
            Answer::Malformed | Answer::NotSigned | Answer::UnknownLog | Answer::Inconsistent => {
                Vec::new()
            }
        };
        Ok((answer.status(), body))
    }
}

#[cfg(test)]
mod tests {
    use custody::log::note::Algorithm;
    use custody::log::witness::request;
    use custody::log::{Checkpoint, SignedCheckpoint};
    use custody::{Digest, WallTime, tree};

    use super::*;

    fn leaves(size: usize, fork: bool) -> Vec<Digest> {
        (0..size)
            .map(|n| tree::leaf(&[u8::from(fork && n == 1), u8::try_from(n).unwrap()]))
            .collect()
    }

    fn body(old: usize, size: usize, fork: bool) -> Vec<u8> {
        let leaves = leaves(size, fork);
        let checkpoint = Checkpoint {
            origin: "east.force.example/log/00000001".to_owned(),
            size: size as u64,
            root: tree::root(&leaves),
        };
        let note = checkpoint.sign(&SecretKey::from_seed(&[1; 32]));
        request(old as u64, &tree::consistency_path(&leaves, old), &note)
    }

    #[test]
    fn it_cosigns_what_continues_and_refuses_a_fork_also_after_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let name = "controller.force.example/witness";
        let log = "east.force.example/log/00000001";
        let log =
            VerifierKey::new(log, Algorithm::Ed25519, SecretKey::from_seed(&[1; 32]).public());
        let log = log.unwrap();
        let open = || {
            let key = SecretKey::from_seed(&[2; 32]);
            let vkey = VerifierKey::new(name, Algorithm::CosignatureV1, key.public()).unwrap();
            let book = Arc::new(Book::open(folder.path()).unwrap());
            OwnWitness::new(vkey, key, book, Clock::simulated(WallTime(5_000_000)))
        };
        let witness = open();
        let (status, lines) = witness.answer(&log, &body(0, 3, false)).unwrap();
        assert_eq!(status, 200);
        let asked = AddCheckpoint::read(&body(0, 3, false)).unwrap().checkpoint;
        let cosigned = asked.with_lines(std::str::from_utf8(&lines).unwrap());
        let cosigned = SignedCheckpoint::read(&cosigned).unwrap();
        assert_eq!(cosigned.cosignature(witness.vkey()).unwrap().at, WallTime(5_000_000));
        drop(witness);
        let witness = open();
        assert_eq!(witness.answer(&log, &body(0, 5, false)).unwrap(), (409, b"3\n".to_vec()));
        assert_eq!(witness.answer(&log, &body(3, 5, true)).unwrap().0, 422);
        assert_eq!(witness.answer(&log, &body(3, 5, false)).unwrap().0, 200);
        assert_eq!(witness.answer(&log, b"old x\n").unwrap().0, 400);
    }
}
