//! Power loss leaves a segment file torn at any byte, or with zeroes or rubbish at its end.

use std::fs;
use std::path::PathBuf;

use custody::sealed::SealedSegment;
use proptest::prelude::*;

use super::super::Salvaged;
use super::super::index::Batch;
use super::super::key::{Family, of_camera};
use super::{Site, sound};

/// A site whose agent ended while a segment of three fragments was open, and that file. The index knows
/// of so many of them, whose end is given too: its last rows were not synced.
fn interrupted(noted: usize) -> (Site, PathBuf, usize) {
    let site = Site::new();
    let (store, _) = site.start();
    site.record(&store, site.ext_01(), 2).unwrap();
    let mut file = site.open(&store, site.ext_01()).unwrap();
    let mut rows = vec![None];
    for _ in 0..3 {
        site.append(&mut file).unwrap();
        rows.push(store.core.progress(site.ext_01(), custody::Seq(1)).unwrap());
    }
    let mut batch = Batch::default();
    batch.delete(Family::Progress, of_camera(site.ext_01()));
    let row = rows.swap_remove(noted);
    if let Some(row) = &row {
        batch.put(Family::Progress, of_camera(site.ext_01()), row.encode());
    }
    store.core.write(&batch).unwrap();
    let folder = store.segment_path(site.ext_01(), custody::Seq(0)).unwrap();
    let path = folder.with_file_name("0000000001.whseg");
    drop((file, store));
    site.clock.advance_ms(30_000);
    (site, path, row.map_or(0, |row| usize::try_from(row.file_bytes).unwrap()))
}

/// Starts on the torn file: the whole fragments of `torn` and nothing else are kept.
fn recovers(site: &Site, path: &PathBuf, torn: &[u8], whole: usize) {
    fs::write(path, torn).unwrap();
    let (store, recovery) = site.start();
    sound(&store);
    let [(_, salvaged)] = recovery.salvaged.as_slice() else { panic!("{recovery:?}") };
    if whole == 0 {
        assert_eq!(*salvaged, Salvaged::Nothing);
        assert!(!path.exists());
    } else {
        let bytes = fs::read(path).unwrap();
        assert_eq!(SealedSegment::read(&bytes).unwrap().fragments.len(), whole);
        assert!(matches!(salvaged, Salvaged::Closed { .. }));
    }
    let stored = site.record(&store, site.ext_01(), 1).unwrap();
    assert!(stored.seq > custody::Seq(1));
    sound(&store);
}

fn whole_fragments(torn: &[u8]) -> usize {
    SealedSegment::read(torn).map_or(0, |segment| segment.fragments.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_file_torn_at_any_byte_keeps_its_whole_fragments(
        at in 0.0_f64..1.0,
        noted in 0_usize..4,
        tail in 0_usize..4,
    ) {
        let (site, path, synced) = interrupted(noted);
        let whole = fs::read(&path).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small file")]
        let cut = synced + (at * (whole.len() - synced) as f64) as usize;
        let kept = whole_fragments(&whole[..cut]);
        let mut torn = whole[..cut].to_vec();
        match tail {
            0 => {}
            1 => torn.extend([0; 4096]),
            2 => torn.extend([0xff; 300]),
            _ => torn.extend(b"M\x00\x00\x00\x04fake"),
        }
        // Rubbish within a block stands for its payload: such a fragment must not open.
        let kept = if tail == 0 { kept } else { whole_fragments(&whole[..cut]) };
        recovers(&site, &path, &torn, kept);
    }
}

#[test]
fn a_fragment_that_does_not_open_and_those_behind_it_are_left_off() {
    let (site, path, _) = interrupted(1);
    let mut bytes = fs::read(&path).unwrap();
    let second = {
        let sealed = SealedSegment::read(&bytes).unwrap().fragments[1].sealed.to_vec();
        bytes.windows(sealed.len()).position(|w| w == sealed).unwrap()
    };
    bytes[second] ^= 1;
    recovers(&site, &path, &bytes, 1);
}

#[test]
fn a_file_shorter_than_what_was_synced_keeps_what_it_has() {
    let (site, path, _) = interrupted(3);
    let whole = fs::read(&path).unwrap();
    let short = &whole[..whole.len() - 1];
    recovers(&site, &path, short, 2);
}

#[test]
fn a_file_that_never_reached_the_disc_leaves_only_a_gap() {
    let (site, path, _) = interrupted(3);
    fs::remove_file(&path).unwrap();
    let (store, recovery) = site.start();
    assert_eq!(recovery.salvaged[0].1, Salvaged::Nothing);
    sound(&store);
    assert_eq!(super::chain(&store, site.ext_01()), ["segment", "agent-crashed"]);
}
