//! Foreign bytes against the parsers of this room: refused or read within their bounds, never a panic.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::sync::OnceLock;

use custody::bundle;
use proptest::prelude::*;

use crate::clip::Plan;
use crate::forge::world::{World, east_camera};
use crate::place;
use crate::tables;

/// The playable copy of the camera in the east, made once.
fn view() -> &'static [u8] {
    static VIEW: OnceLock<Vec<u8>> = OnceLock::new();
    VIEW.get_or_init(|| {
        World::new().payload().remove(&bundle::view(&east_camera())).unwrap_or_default()
    })
}

fn pictures(bytes: &[u8]) -> Option<Vec<std::ops::Range<u64>>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut reader = BufReader::new(File::open(file.path()).unwrap());
    tables::pictures(&mut reader, bytes.len() as u64).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_bent_playable_copy_never_leads_out_of_the_file(
        at in 0_usize..20_000, to: u8, cut in 0_usize..20_000, whole: bool,
    ) {
        let good = view();
        let mut bytes = good.to_vec();
        // Its tables lie in the first few kilobytes.
        bytes[at % 6_000] = to;
        if !whole {
            bytes.truncate(cut % good.len());
        }
        for range in pictures(&bytes).unwrap_or_default() {
            prop_assert!(range.start < range.end && range.end <= bytes.len() as u64);
        }
    }

    #[test]
    fn a_plan_is_refused_or_within_its_bounds(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0_usize..40, index: u32,
    ) {
        prop_assert!(Plan::read(&bytes).is_err());
        let one = format!(
            "{{\"info\":{{\"index\":{index},\"start\":\"2026-11-21T23:59:46Z\",\"duration_us\":1,\
             \"samples\":1,\"flags\":1}},\"bytes\":1,\"salt\":\"{0}\",\"cipher_sha256\":\"{0}\",\
             \"path\":[]}}",
            "00".repeat(32)
        );
        let list = vec![one; count].join(",");
        let text = format!(
            "{{\"format\":\"watchhouse-clip/v1\",\"init_bytes\":9,\"fragments\":[{list}]}}"
        );
        // The same index twice is out of order.
        prop_assert_eq!(Plan::read(text.as_bytes()).is_ok(), count == 1);
    }

    #[test]
    fn any_path_has_a_place_or_none(path in "data/(proof|master|view|custody)(/[a-z0-9.-]{0,20}){0,4}") {
        let mut layout = place::Layout::default();
        let _known = layout.take(&path);
    }
}

#[test]
fn the_good_copy_reads_and_its_pictures_are_all_there() {
    let world = World::new();
    let shots = world.films.iter().filter(|one| one.camera == east_camera());
    let due: usize = shots
        .flat_map(|one| &one.shot.fragments)
        .map(|(_, plain)| crate::boxes::payloads_in(plain, b"mdat").unwrap()[0].len())
        .sum();
    let found: u64 = pictures(view()).unwrap().iter().map(|range| range.end - range.start).sum();
    assert_eq!(found, due as u64);
}
