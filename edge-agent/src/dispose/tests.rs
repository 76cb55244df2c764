//! Discs as they are taken out: sound, holding keys, holding footage in the clear, dead.

use std::fs;
use std::path::Path;
use std::time::Duration;

use custody::Digest;
use custody::record::{Record, Statement};
use custody::sealing::Key;

use super::*;
use crate::seal::FileRoot;
use crate::store::tests::{Site, records, sound};

const BLOCK: usize = 4096;

/// A site with three segments of 200 kB each, and its keys.
fn recorded() -> (Site, crate::store::Store, Vec<Key>) {
    let site = Site::new();
    let (store, _) = site.start();
    for _ in 0..3 {
        site.record_bytes(&store, site.ext_01(), &b"a person crosses the yard".repeat(8000));
    }
    let keys = site.folder().join("keys");
    let root = FileRoot::new(&keys);
    let there = KeyRing::danger_keys(&keys, &"east".parse().unwrap(), &root).unwrap();
    (site, store, there)
}

/// Files laid out on a disc as a file system does: each from a block's beginning.
fn image(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut image = vec![0; 16 * BLOCK];
    for part in parts {
        image.extend_from_slice(part);
        image.resize(image.len().next_multiple_of(BLOCK) + BLOCK, 0);
    }
    image
}

fn files(site: &Site, store: &crate::store::Store) -> Vec<Vec<u8>> {
    let read =
        |seq| fs::read(store.segment_path(site.ext_01(), custody::Seq(seq)).unwrap()).unwrap();
    (0..3).map(read).collect()
}

fn scanned(folder: &Path, bytes: &[u8], keys: &[Key]) -> Seen {
    let path = folder.join("image");
    fs::write(&path, bytes).unwrap();
    let mut seen = Seen::default();
    scan::scan(&path, keys, &mut seen).unwrap();
    seen
}

#[test]
fn a_footage_disc_holds_sealed_files_and_nothing_else() {
    let (site, store, keys) = recorded();
    let folder = tempfile::tempdir().unwrap();
    let mut seen = Seen::default();
    scan::scan(&site.folder().join("segments"), &keys, &mut seen).unwrap();
    assert_eq!((seen.sealed_files, seen.not_sealed()), (3, None));
    assert!(seen.volume.as_ref().is_some_and(|volume| volume.len() == 32));
    assert!(seen.looks_random() && seen.chi_square().is_some());
    assert!(seen.plain_bytes < 12 * BLOCK as u64, "{seen:?}");

    let volume = fs::read(site.folder().join("segments/volume.json")).unwrap();
    let mut parts = files(&site, &store);
    let sealed: u64 = seen.sealed_bytes;
    parts.push(volume);
    // A file that lies in two places: its second half is noise, and its head still tells it.
    let whole = parts[0].clone();
    let (torn, rest) = whole.split_at(10 * BLOCK);
    parts.insert(0, rest[..20 * BLOCK].to_vec());
    parts.push(torn.to_vec());
    let raw = scanned(folder.path(), &image(&parts), &keys);
    assert_eq!((raw.sealed_files, raw.not_sealed()), (4, None));
    assert_eq!(raw.volume, seen.volume);
    assert!(raw.sealed_bytes > sealed, "{raw:?}");
    assert!(raw.noise_bytes >= 19 * BLOCK as u64, "{}", raw.noise_bytes);
    assert_eq!(raw.bytes_read, image(&parts).len() as u64);
}

#[test]
fn keys_and_clear_footage_are_found_wherever_they_lie() {
    let (site, store, keys) = recorded();
    let folder = tempfile::tempdir().unwrap();
    let mut disc = image(&files(&site, &store));
    disc.resize((1 << 20) + 3 * BLOCK, 0);
    let planted = |at: usize, bytes: &[u8]| {
        let mut disc = disc.clone();
        disc[at..at + bytes.len()].copy_from_slice(bytes);
        scanned(folder.path(), &disc, &keys).not_sealed().unwrap_or_default()
    };
    for key in &keys {
        // Across the end of what is read at once.
        for at in [(1 << 20) - 16, (1 << 20) - 32, 1 << 20, (1 << 20) + 77] {
            let said = planted(at, key.danger_bytes());
            assert!(
                said.starts_with(&format!("a key in the clear, 1 times, first at byte {at} ")),
                "{said}"
            );
        }
    }
    assert!(planted(77, b"WHRING1\n").contains("a key ring"));
    assert!(planted(BLOCK, b"\0\0\0 ftypiso6").contains("footage that is not sealed"));
    assert!(planted(1 << 20, &[0, 0, 0, 1, 0x67, 0x64, 0, 0x1f]).contains("not sealed"));
    // Within what a segment file's head claims: the file lay in two places, and this is another's.
    assert!(planted(30 * BLOCK, b"\0\0\0 ftypiso6").contains("footage that is not sealed"));
    assert_eq!(planted(77, b"an innocent text"), "");
    // The whole state folder is a system disc: ring, site key and identity are found.
    let mut seen = Seen::default();
    scan::scan(site.folder(), &keys, &mut seen).unwrap();
    let said = seen.not_sealed().unwrap();
    assert!(said.contains("a key ring") && said.contains("a key in the clear"), "{said}");
}

#[test]
fn the_recorder_signs_what_was_seen() {
    let (_site, store, _) = recorded();
    let ask = DisposalAsk {
        volume: "ab".repeat(16),
        disc: "WD-1234".to_owned(),
        person: "t.okafor".parse().unwrap(),
        bytes_read: 9,
        sealed_files: 3,
        plain_bytes: 1,
        unreadable: None,
        not_sealed: None,
    };
    let state = _site.folder();
    assert_eq!(ask.hand_over(state, Duration::ZERO).unwrap(), None, "nobody has looked yet");
    fs::write(state.join("disposals/odd.json"), "{}").unwrap();
    assert_eq!(store.take_disposals().unwrap(), 1);
    assert_eq!(store.take_disposals().unwrap(), 0);
    let logged = records(&store).into_iter().filter_map(|record| match record {
        Record::Other(Statement::Disposal(disposal)) => Some(disposal),
        _ => None,
    });
    let [disposal] = logged.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((disposal.disc, disposal.sealed_files, disposal.person), (ask.disc, 3, ask.person));
    let signed = fs::read_dir(state.join("disposals")).unwrap().flatten();
    assert_eq!(signed.filter(|it| it.path().extension().is_some_and(|e| e == "dsse")).count(), 1);
    sound(&store);
}

#[test]
fn the_page_says_what_to_do_with_the_disc() {
    let ask = Ask {
        config: "edge-agent.toml".into(),
        disc: None,
        serial: "WD-1234".to_owned(),
        person: "t.okafor".parse().unwrap(),
        unreadable: Some("it does not spin up".to_owned()),
    };
    let site = "east".parse().unwrap();
    let mut dead = Seen::default();
    dead.unreadable.clone_from(&ask.unreadable);
    let page = page::page(&site, &ask, &dead, Some(Digest::of(b"record")));
    assert!(page.contains("it does not spin up") && page.contains("opens\nfor nobody"), "{page}");
    assert!(page.contains("WD-1234") && page.contains(&Digest::of(b"record").to_string()));
    let folder = tempfile::tempdir().unwrap();
    let holds_keys = scanned(folder.path(), b"WHRING1\n", &[]);
    let page = page::page(&site, &ask, &holds_keys, None);
    assert!(page.contains("shred it here, under the eyes"), "{page}");
    assert!(page.lines().count() < 40, "one page");
}
