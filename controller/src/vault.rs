//! The second place of held footage: sealed files as they were signed, each hold's records beside
//! them, and their keys, wrapped under a key that lies elsewhere. What is stolen with the vault's
//! disc opens nothing.
//!
//! ```text
//! vault/segments/<site>/<camera>/<seq>-<root>.whseg   sealed files, checked against the signed root
//! vault/held/<hold>.json                              a hold's records, its wrapped keys, and the
//!                                                     site's signed word that it gave them
//! vault-key                                           wraps the keys; the owner's alone; back it up apart
//! ```
//!
//! The root in a file's name keeps copies of a camera apart whose chain began anew: a recorder that
//! burned and was replaced counts its segments from 0 again.
//!
//! | file | does |
//! |---|---|
//! | [`shelf`] | where files lie: a folder today, `object_store` by the same calls |
//! | [`held`] | what is kept beside the files of one hold |
//! | [`book`] | how far each copy has come; in memory only |

use std::io;
use std::path::Path;
use std::sync::Arc;

use custody::sealing::Key;
use custody::{CameraId, Digest, HoldId, Seq};
use host::durable::{self, Reader};
use zeroize::Zeroizing;

pub mod book;
pub mod held;
pub mod shelf;

pub use book::Book;
pub use held::HeldFile;
pub use shelf::{Folder, Shelf};

/// The file with the key that wraps the copied footage's keys, beside the folder `vault/`.
pub const KEY_FILE: &str = "vault-key";

/// The name of a sealed file below the vault. Eight bytes of the root tell chains apart.
#[must_use]
pub fn segment_name(camera: &CameraId, seq: Seq, root: Digest) -> String {
    let root: String = root.to_string().chars().take(16).collect();
    format!("segments/{camera}/{:010}-{root}.whseg", seq.0)
}

/// The name of what is kept of a hold.
#[must_use]
pub fn held_name(hold: &HoldId) -> String {
    format!("held/{hold}.json")
}

/// The vault. Clones are the same; every method blocks.
#[derive(Clone)]
pub struct Vault {
    shelf: Arc<dyn Shelf>,
    key: Key,
    book: Book,
    guests: Book,
    /// Held while a copy is found whole and noted, and while one is deleted: so nothing that was
    /// just found is deleted before it is noted.
    settling: Arc<tokio::sync::Mutex<()>>,
}

impl Vault {
    /// The vault under `state_dir`, with its key made if there is none.
    ///
    /// # Errors
    /// When the key cannot be read or written.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(KEY_FILE);
        let bytes: [u8; 32] = match std::fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => (&**bytes).try_into().map_err(|_| {
                io::Error::other(format!("{} is not 32 bytes: restore it", path.display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut fresh = Zeroizing::new([0; 32]);
                aws_lc_rs::rand::fill(&mut *fresh).map_err(io::Error::other)?;
                durable::replace(&path, &*fresh, Reader::Owner)?;
                *fresh
            }
            Err(error) => return Err(error),
        };
        let shelf = Arc::new(Folder::new(state_dir.join("vault")));
        let (book, guests, settling) = (Book::default(), Book::default(), Arc::default());
        Ok(Self { shelf, key: Key::new(bytes), book, guests, settling })
    }

    /// Where the files lie.
    #[must_use]
    pub fn shelf(&self) -> &Arc<dyn Shelf> {
        &self.shelf
    }

    /// How far each copy has come.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// How far each copy at another site has come.
    #[must_use]
    pub fn guest_book(&self) -> &Book {
        &self.guests
    }

    /// Waits for the turn to note a copy as whole, or to delete one.
    pub async fn settle(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.settling.lock().await
    }

    /// What is kept of a hold; none: nothing.
    ///
    /// # Errors
    /// When it does not read.
    pub fn held(&self, hold: &HoldId) -> io::Result<Option<HeldFile>> {
        let name = held_name(hold);
        let Some(bytes) = self.shelf.bytes(&name)? else { return Ok(None) };
        let read = self.shelf.read(&name, 0, usize::try_from(bytes).unwrap_or(usize::MAX))?;
        HeldFile::decode(&read).map(Some)
    }

    /// Keeps what belongs to a hold.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_held(&self, hold: &HoldId, held: &HeldFile) -> io::Result<()> {
        self.shelf.put(&held_name(hold), &held.encode())
    }

    /// Wraps a segment's key for keeping.
    #[must_use]
    pub fn wrap(&self, camera: &CameraId, seq: Seq, root: Digest, key: &Key) -> Vec<u8> {
        let mut nonce = [0; 12];
        aws_lc_rs::rand::fill(&mut nonce)
            .expect("aws-lc's random source does not fail once seeded");
        self.key.wrap(key, nonce, &place(camera, seq, root))
    }

    /// Opens what [`Self::wrap`] gave.
    ///
    /// # Errors
    /// When it was wrapped under another key or for another segment.
    pub fn unwrap(
        &self,
        camera: &CameraId,
        seq: Seq,
        root: Digest,
        wrapped: &[u8],
    ) -> Result<Key, custody::Refusal> {
        self.key.unwrap(wrapped, &place(camera, seq, root))
    }

    /// The sealed file of a segment, of whichever chain; none: there is no copy.
    ///
    /// # Errors
    /// When the folder does not read.
    pub fn find(&self, camera: &CameraId, seq: Seq) -> io::Result<Option<String>> {
        let prefix = format!("segments/{camera}/{:010}-", seq.0);
        Ok(self.shelf.list(&prefix)?.into_iter().find(|name| name.ends_with(".whseg")))
    }
}

fn place(camera: &CameraId, seq: Seq, root: Digest) -> String {
    format!("WHVAULT1 {camera} {seq} {root}")
}

#[cfg(test)]
mod tests;
