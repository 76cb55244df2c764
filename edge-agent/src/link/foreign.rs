//! Which checkpoint of another log the site's manifests name: the newest that the controller brought,
//! as far as a site can judge. Pure.
//!
//! | a note must | because |
//! |---|---|
//! | be of a log that this site witnesses, and not its own | its key is pinned; one's own log dates nothing |
//! | be signed by that log's pinned key | or anybody wrote it |
//! | be cosigned, at a time that reads | what is cosigned dates the manifest, for whoever knows the witness's key |
//! | not bear a wrong cosignature in this site's name | that one it can check |
//!
//! The other witnesses' keys are not known here: whether their cosignatures fit is for the verifier,
//! whom they are for. A time that was made up wins nothing for longer than until the next note: none
//! counts as later than now.

use custody::WallTime;
use custody::log::{SignedCheckpoint, VerifierKey};
use custody::manifest::ForeignCheckpoint;

/// Notes that are looked at in one answer: one for each other log, and room for their successors.
pub(super) const NOTES_MAX: usize = 8;

/// Which checkpoint the manifests name.
#[derive(Debug, Clone, Default)]
pub(super) struct Foreign {
    /// The newest cosignature on the note that was chosen last, by its witness.
    newest: Option<WallTime>,
}

impl Foreign {
    /// Takes what the controller brought; gives the checkpoint to name from now on, if another one.
    /// `log` is the key pinned for an origin, `own` the key of this site's witness.
    pub(super) fn handle_notes(
        &mut self,
        notes: &[SignedCheckpoint],
        log: impl Fn(&str) -> Option<VerifierKey>,
        own: &VerifierKey,
        now: WallTime,
    ) -> Option<ForeignCheckpoint> {
        // A clock that was set back must not bar every note until it has caught up.
        let newest = self.newest.map(|at| at.min(now));
        let judged = notes.iter().take(NOTES_MAX).filter_map(|note| {
            let log = log(&note.checkpoint().origin)?;
            Some((cosigned(note, &log, own)?.min(now), note))
        });
        let (at, note) = judged.max_by_key(|(at, _)| *at)?;
        if newest.is_some_and(|newest| at < newest) {
            return None;
        }
        self.newest = Some(at);
        let checkpoint = note.checkpoint();
        Some(ForeignCheckpoint {
            origin: checkpoint.origin.clone(),
            size: checkpoint.size,
            root: checkpoint.root,
            note_sha256: note.digest(),
        })
    }
}

/// When the note was last cosigned, by its witnesses' word; none if it may not be named.
fn cosigned(note: &SignedCheckpoint, log: &VerifierKey, own: &VerifierKey) -> Option<WallTime> {
    note.check(log).ok()?;
    let claims = note.danger_claimed_cosignatures();
    let is_forged =
        claims.iter().any(|claim| claim.witness == own.name()) && note.cosignature(own).is_none();
    if is_forged {
        return None;
    }
    claims.into_iter().map(|claim| claim.at).max()
}

#[cfg(test)]
mod tests {
    use custody::log::note::{Algorithm, Checkpoint};
    use custody::{Digest, SecretKey};

    use super::*;

    const NOW: WallTime = WallTime(1_795_356_600_000_000);

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn vkey(name: &str, algorithm: Algorithm, seed: u8) -> VerifierKey {
        VerifierKey::new(name, algorithm, key(seed).public()).unwrap()
    }

    /// The keys that the witness has pinned: of `west/log` and `hq/log`.
    fn pinned(origin: &str) -> Option<VerifierKey> {
        let seed = ["west/log", "hq/log"].iter().position(|known| *known == origin)?;
        Some(vkey(origin, Algorithm::Ed25519, u8::try_from(seed).unwrap()))
    }

    /// A note of `origin` with this size, signed by key `seed`, cosigned by each name and key at a
    /// second from [`NOW`].
    fn note(origin: &str, seed: u8, size: u64, by: &[(&str, u8, i64)]) -> SignedCheckpoint {
        let root = Digest::of(&size.to_be_bytes());
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root };
        let mut bytes = checkpoint.sign(&key(seed));
        for (name, seed, at) in by {
            let line = checkpoint.cosign(name, &key(*seed), NOW.plus_seconds(*at));
            bytes.extend_from_slice(line.as_bytes());
        }
        SignedCheckpoint::read(&bytes).unwrap()
    }

    /// What comes of each answer: the size that is named from then on, 0 for none new.
    fn named(foreign: &mut Foreign, answers: &[&[SignedCheckpoint]]) -> Vec<u64> {
        let own = vkey("east/witness", Algorithm::CosignatureV1, 9);
        answers
            .iter()
            .map(|notes| foreign.handle_notes(notes, pinned, &own, NOW).map_or(0, |it| it.size))
            .collect()
    }

    #[test]
    fn the_newest_note_that_can_be_judged_is_named() {
        let (west, hq) = (("hq/witness", 7, -5), ("south/witness", 8, -3));
        let answers: [&[SignedCheckpoint]; 4] = [
            &[note("west/log", 0, 10, &[west]), note("hq/log", 1, 20, &[hq])],
            &[note("west/log", 0, 11, &[("hq/witness", 7, -4)])],
            &[note("west/log", 0, 12, &[("hq/witness", 7, -2), ("x/witness", 6, -90)])],
            &[],
        ];
        assert_eq!(named(&mut Foreign::default(), &answers), [20, 0, 12, 0]);
    }

    #[test]
    fn what_a_site_can_see_through_is_not_named() {
        let good = ("hq/witness", 7, -5);
        for (why, bad) in [
            ("a log never witnessed", note("south/log", 0, 10, &[good])),
            ("another key's", note("west/log", 5, 10, &[good])),
            ("cosigned by nobody", note("west/log", 0, 10, &[])),
            ("forged in our name", note("west/log", 0, 10, &[good, ("east/witness", 5, -1)])),
        ] {
            assert_eq!(named(&mut Foreign::default(), &[&[bad]]), [0], "{why}");
        }
        let ours = note("west/log", 0, 10, &[("east/witness", 9, -1)]);
        assert_eq!(named(&mut Foreign::default(), &[&[ours]]), [10]);
    }

    #[test]
    fn a_made_up_time_does_not_bar_what_comes_after() {
        let far = note("west/log", 0, 10, &[("hq/witness", 7, 300_000_000)]);
        let next = note("west/log", 0, 11, &[("hq/witness", 7, 0)]);
        assert_eq!(named(&mut Foreign::default(), &[&[far], &[next]]), [10, 11]);
    }

    #[test]
    fn a_clock_set_back_goes_on_with_the_next_note() {
        let own = vkey("east/witness", Algorithm::CosignatureV1, 9);
        let mut foreign = Foreign::default();
        let before = note("west/log", 0, 10, &[("hq/witness", 7, 0)]);
        assert!(foreign.handle_notes(&[before], pinned, &own, NOW).is_some());
        let back = NOW.plus_seconds(-3600);
        let after = note("west/log", 0, 11, &[("hq/witness", 7, 3)]);
        let named = foreign.handle_notes(&[after], pinned, &own, back);
        assert_eq!(named.map(|it| it.size), Some(11));
    }
}
