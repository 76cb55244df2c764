//! Files flipped, cut, removed, swapped and added: by nobody, and by the controller's administrator,
//! who makes the manifests and the statement anew.

use custody::Code::{
    BagMalformed, BundleStatementInvalid, CheckpointInvalid, FileAltered, FileMissing,
    FileUnexpected, FragmentAltered, InitAltered, KeyUnknown, KeyUntrusted, SegmentMissing,
    SegmentTruncated, TimeInconsistent, TimeStampInvalid, ViewAltered,
};
use custody::fragment::Disclosed;
use custody::{CameraId, Seq, bundle};

use super::{Case, Given, Who};
use crate::forge::draft::secret;
use crate::forge::files::{Files, remade, retag, sealed};
use crate::forge::world::{AUTHORITY, World, east_camera, west_camera};

/// Edits the finished folder.
fn bent(world: &World, bend: impl FnOnce(&mut Files)) -> Files {
    let mut files = world.folder();
    bend(&mut files);
    files
}

/// Edits the payload; manifests and statement are made anew by the authority's holder.
pub(super) fn reseal(world: &World, bend: impl FnOnce(&mut Files)) -> Files {
    let mut payload = world.payload();
    bend(&mut payload);
    sealed(&payload, &world.seal, &secret(AUTHORITY))
}

pub(super) fn file<'a>(files: &'a mut Files, path: &str) -> &'a mut Vec<u8> {
    files.get_mut(path).expect("the mutation names a file that is there")
}

fn flip(files: &mut Files, path: &str) {
    let bytes = file(files, path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

fn master(seq: u64) -> String {
    bundle::master(&east_camera(), Seq(seq))
}

fn list(seq: u64) -> String {
    bundle::disclosed(&east_camera(), Seq(seq))
}

fn disclosed(files: &Files, seq: u64) -> Vec<Disclosed> {
    serde_json::from_slice(&files[&list(seq)]).expect("the world's lists read")
}

fn put_list(files: &mut Files, seq: u64, disclosed: &[Disclosed]) {
    files.insert(list(seq), serde_json::to_vec(disclosed).expect("fragments have a JSON form"));
}

/// The bytes of one fragment within its master.
fn fragment(files: &Files, seq: u64, index: usize) -> std::ops::Range<usize> {
    let lens =
        disclosed(files, seq).into_iter().map(|one| usize::try_from(one.bytes).expect("small"));
    let lens: Vec<usize> = lens.collect();
    let from: usize = lens[..index].iter().sum();
    from..from + lens[index]
}

fn drop_fragment(files: &mut Files, index: usize) {
    let range = fragment(files, 42, index);
    file(files, &master(42)).drain(range);
    let mut all = disclosed(files, 42);
    all.remove(index);
    for (place, one) in (0_u32..).zip(&mut all) {
        one.info.index = place;
    }
    put_list(files, 42, &all);
}

fn swap_fragments(files: &mut Files) {
    let (a, b) = (fragment(files, 42, 1), fragment(files, 42, 2));
    let bytes = files[&master(42)].clone();
    let swapped =
        [&bytes[..a.start], &bytes[b.clone()], &bytes[a.clone()], &bytes[b.end..]].concat();
    files.insert(master(42), swapped);
    let mut all = disclosed(files, 42);
    let (one, two) = (all[1].clone(), all[2].clone());
    (all[1].bytes, all[1].salt, all[1].cipher_sha256) = (two.bytes, two.salt, two.cipher_sha256);
    (all[2].bytes, all[2].salt, all[2].cipher_sha256) = (one.bytes, one.salt, one.cipher_sha256);
    put_list(files, 42, &all);
}

fn swap_files(files: &mut Files, a: &str, b: &str) {
    let (one, two) = (files[a].clone(), files[b].clone());
    files.insert(a.to_owned(), two);
    files.insert(b.to_owned(), one);
}

fn remove_segment(files: &mut Files, camera: &CameraId, seq: u64) {
    for path in [bundle::init(camera, Seq(seq)), bundle::master(camera, Seq(seq))] {
        files.remove(&path);
    }
    files.remove(&bundle::disclosed(camera, Seq(seq)));
}

fn case(
    name: &'static str,
    what: &'static str,
    who: Who,
    expect: &'static [custody::Code],
    make: fn(&World) -> Files,
) -> Case {
    Case { name, what, who, given: Given::Nothing, expect, make }
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = by_nobody();
    all.extend(by_nobody_to_the_bag());
    all.extend(fragments_resealed());
    all.extend(copies_resealed());
    all
}

fn by_nobody() -> Vec<Case> {
    let nobody = |name, what, expect, make| case(name, what, Who::Nobody, expect, make);
    vec![
        nobody("flip-master", "a bit of a master", &[FileAltered, FragmentAltered], |w| {
            bent(w, |files| flip(files, &master(42)))
        }),
        nobody("flip-init", "a bit of an init section", &[FileAltered, InitAltered], |w| {
            bent(w, |files| flip(files, &bundle::init(&east_camera(), Seq(42))))
        }),
        nobody(
            "flip-view",
            "a bit of the pictures in the playable copy",
            &[FileAltered, ViewAltered],
            |w| bent(w, |files| flip(files, &bundle::view(&east_camera()))),
        ),
        nobody("flip-request", "a bit of the request", &[FileAltered], |w| {
            bent(w, |files| flip(files, bundle::REQUEST))
        }),
        nobody(
            "truncate-master",
            "a master cut in its last fragment",
            &[BagMalformed, FileAltered, SegmentTruncated],
            |w| {
                bent(w, |files| {
                    let bytes = file(files, &master(45));
                    bytes.truncate(bytes.len() - 100);
                })
            },
        ),
        nobody(
            "drop-fragment-first",
            "the first fragment of a master",
            &[BagMalformed, FileAltered, FragmentAltered],
            |w| {
                bent(w, |files| {
                    let range = fragment(files, 42, 0);
                    file(files, &master(42)).drain(range);
                })
            },
        ),
        nobody(
            "drop-segment-middle",
            "the files of a segment in the middle",
            &[BagMalformed, FileMissing, SegmentMissing],
            |w| bent(w, |files| remove_segment(files, &east_camera(), 42)),
        ),
        nobody(
            "swap-masters",
            "two masters of a camera swapped",
            &[FileAltered, FragmentAltered],
            |w| bent(w, |files| swap_files(files, &master(41), &master(42))),
        ),
        nobody(
            "splice-cameras",
            "a master replaced by the other camera's",
            &[BagMalformed, FileAltered, FragmentAltered],
            |w| {
                bent(w, |files| {
                    let other = files[&bundle::master(&west_camera(), Seq(9))].clone();
                    files.insert(master(42), other);
                })
            },
        ),
        nobody(
            "duplicate-segment",
            "a segment's files again under another number",
            &[BagMalformed, FileUnexpected],
            |w| {
                bent(w, |files| {
                    let bytes = files[&master(42)].clone();
                    files.insert(bundle::master(&east_camera(), Seq(46)), bytes);
                })
            },
        ),
    ]
}

fn by_nobody_to_the_bag() -> Vec<Case> {
    let nobody = |name, what, expect, make| case(name, what, Who::Nobody, expect, make);
    vec![
        nobody(
            "manifest-line-removed",
            "a master and its line in every manifest",
            &[BagMalformed, FileAltered, BundleStatementInvalid, SegmentMissing],
            |w| {
                bent(w, |files| {
                    files.remove(&master(45));
                    for manifest in [bundle::MANIFEST, bundle::MANIFEST_SHA512] {
                        let text = String::from_utf8(files[manifest].clone()).expect("text");
                        let kept = text.lines().filter(|line| !line.ends_with(&master(45)));
                        let kept: String = kept.map(|line| format!("{line}\n")).collect();
                        files.insert(manifest.to_owned(), kept.into_bytes());
                    }
                })
            },
        ),
        nobody(
            "sha512-line-removed",
            "a line of the SHA-512 manifest, the tag manifest made anew",
            &[BagMalformed],
            |w| {
                bent(w, |files| {
                    let text =
                        String::from_utf8(files[bundle::MANIFEST_SHA512].clone()).expect("text");
                    let kept: String =
                        text.lines().skip(1).map(|line| format!("{line}\n")).collect();
                    files.insert(bundle::MANIFEST_SHA512.to_owned(), kept.into_bytes());
                    retag(files);
                })
            },
        ),
        nobody(
            "sha512-altered",
            "a digest in the SHA-512 manifest, the tag manifest made anew",
            &[FileAltered],
            |w| {
                bent(w, |files| {
                    let bytes = file(files, bundle::MANIFEST_SHA512);
                    bytes[0] = if bytes[0] == b'0' { b'1' } else { b'0' };
                    retag(files);
                })
            },
        ),
        nobody(
            "manifests-remade",
            "a master flipped, every manifest made anew",
            &[BundleStatementInvalid, FragmentAltered],
            |w| {
                let mut files = bent(w, |_| {});
                flip(&mut files, &master(42));
                remade(&files)
            },
        ),
        nobody("file-added", "a film that nobody recorded", &[BagMalformed, FileUnexpected], |w| {
            bent(w, |files| {
                files.insert("data/view/east/more.mp4".to_owned(), b"more".to_vec());
            })
        }),
        nobody(
            "statement-of-another-bundle",
            "the statement of the same case, made over other files",
            &[FileAltered, BundleStatementInvalid],
            |w| {
                let other = reseal(w, |files| flip(files, bundle::REQUEST));
                bent(w, |files| {
                    files.insert(bundle::SEAL.to_owned(), other[bundle::SEAL].clone());
                })
            },
        ),
        nobody(
            "statement-removed",
            "the statement over the bundle",
            &[BagMalformed, BundleStatementInvalid],
            |w| {
                bent(w, |files| {
                    files.remove(bundle::SEAL);
                    retag(files);
                })
            },
        ),
        nobody(
            "statement-by-a-stranger",
            "the statement and the authority's key in the folder, by a key of one's own",
            &[KeyUntrusted],
            |w| {
                let own = secret(99);
                let mut payload = w.payload();
                payload.insert(bundle::AUTHORITY.to_owned(), own.public().to_pem().into_bytes());
                sealed(&payload, &w.seal, &own)
            },
        ),
        nobody(
            "everything-by-a-stranger",
            "a bundle that is whole in itself, under an authority of one's own",
            &[KeyUntrusted, KeyUnknown, FileUnexpected, CheckpointInvalid, TimeStampInvalid],
            |w| {
                let mut own = w.clone();
                own.authority = 99;
                own.folder()
            },
        ),
    ]
}

fn fragments_resealed() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        by("flip-master-resealed", "a bit of a master", &[FragmentAltered], |w| {
            reseal(w, |files| flip(files, &master(42)))
        }),
        by("flip-init-resealed", "a bit of an init section", &[InitAltered], |w| {
            reseal(w, |files| flip(files, &bundle::init(&east_camera(), Seq(42))))
        }),
        by(
            "truncate-master-resealed",
            "a master cut in its last fragment",
            &[SegmentTruncated],
            |w| {
                reseal(w, |files| {
                    let bytes = file(files, &master(45));
                    bytes.truncate(bytes.len() - 100);
                })
            },
        ),
        by(
            "drop-fragment-first-resealed",
            "the first fragment, and its entry in the list",
            &[SegmentTruncated, TimeInconsistent, FragmentAltered],
            |w| reseal(w, |files| drop_fragment(files, 0)),
        ),
        by(
            "drop-fragment-middle-resealed",
            "a fragment in the middle, and its entry in the list",
            &[SegmentTruncated, TimeInconsistent, FragmentAltered],
            |w| reseal(w, |files| drop_fragment(files, 2)),
        ),
        by(
            "drop-fragment-last-resealed",
            "the last fragment, and its entry in the list",
            &[SegmentTruncated, TimeInconsistent, FragmentAltered],
            |w| reseal(w, |files| drop_fragment(files, 3)),
        ),
        by(
            "swap-fragments-resealed",
            "two fragments swapped, and their entries but their times",
            &[FragmentAltered],
            |w| reseal(w, swap_fragments),
        ),
        by(
            "duplicate-fragment-resealed",
            "a fragment twice, and its entry in the list",
            &[TimeInconsistent, FragmentAltered],
            |w| {
                reseal(w, |files| {
                    let range = fragment(files, 42, 1);
                    let again = files[&master(42)][range.clone()].to_vec();
                    file(files, &master(42)).splice(range.end..range.end, again);
                    let mut all = disclosed(files, 42);
                    let one = all[1].clone();
                    all.insert(2, one);
                    for (place, one) in (0_u32..).zip(&mut all) {
                        one.info.index = place;
                    }
                    put_list(files, 42, &all);
                })
            },
        ),
        by(
            "shift-fragment-times-resealed",
            "each fragment a second later",
            &[TimeInconsistent, FragmentAltered],
            |w| {
                reseal(w, |files| {
                    let mut all = disclosed(files, 42);
                    for one in &mut all {
                        one.info.start = one.info.start.plus_seconds(1);
                    }
                    put_list(files, 42, &all);
                })
            },
        ),
        by(
            "splice-cameras-resealed",
            "a segment's files replaced by the other camera's",
            &[InitAltered, FragmentAltered],
            |w| {
                reseal(w, |files| {
                    let (from, to) = (west_camera(), east_camera());
                    for path in [bundle::init, bundle::master, bundle::disclosed] {
                        let bytes = files[&path(&from, Seq(9))].clone();
                        files.insert(path(&to, Seq(42)), bytes);
                    }
                })
            },
        ),
        by(
            "drop-segment-files-resealed",
            "the files of a segment, its record left",
            &[SegmentMissing],
            |w| reseal(w, |files| remove_segment(files, &east_camera(), 42)),
        ),
    ]
}

fn copies_resealed() -> Vec<Case> {
    let by = |name, what, expect, make| case(name, what, Who::Controller, expect, make);
    vec![
        by("view-swapped-resealed", "the two playable copies swapped", &[ViewAltered], |w| {
            reseal(w, |files| {
                let (a, b) = (bundle::view(&east_camera()), bundle::view(&west_camera()));
                swap_files(files, &a, &b);
            })
        }),
        by(
            "view-flipped-resealed",
            "a bit of the pictures in a playable copy",
            &[ViewAltered],
            |w| reseal(w, |files| flip(files, &bundle::view(&east_camera()))),
        ),
        by(
            "view-box-added-resealed",
            "a box with a film of its own behind the copy",
            &[ViewAltered],
            |w| {
                reseal(w, |files| {
                    let more = crate::forge::footage::a_box(b"moof", &[b"more"]);
                    file(files, &bundle::view(&east_camera())).extend(more);
                })
            },
        ),
        by(
            "view-hidden-bytes-resealed",
            "bytes in an mdat that no table names",
            &[ViewAltered],
            |w| {
                reseal(w, |files| {
                    let more = crate::forge::footage::a_box(b"mdat", &[b"hidden"]);
                    file(files, &bundle::view(&east_camera())).extend(more);
                })
            },
        ),
        by("view-removed-resealed", "a playable copy", &[FileMissing], |w| {
            reseal(w, |files| {
                files.remove(&bundle::view(&east_camera()));
            })
        }),
        by(
            "view-of-fewer-pictures-resealed",
            "the playable copy without the last segment",
            &[ViewAltered],
            |w| {
                reseal(w, |files| {
                    let films: Vec<_> =
                        w.films.iter().filter(|one| one.camera == east_camera()).collect();
                    let shots: Vec<_> = films.iter().take(4).map(|one| &one.shot).collect();
                    let view = crate::forge::footage::view(&shots);
                    files.insert(bundle::view(&east_camera()), view);
                })
            },
        ),
        by(
            "camera-left-out-resealed",
            "a camera, from the folder and from the statement alike: a smaller \
             true bundle but for the files left behind",
            &[custody::Code::RecordMisplaced],
            |w| {
                let mut seal = w.seal.clone();
                seal.cameras.retain(|camera| *camera != west_camera());
                sealed(&w.payload(), &seal, &secret(AUTHORITY))
            },
        ),
        by(
            "camera-files-removed-resealed",
            "every file of a camera that the statement names",
            &[FileMissing, custody::Code::IntervalUncovered],
            |w| {
                let name = west_camera().to_string();
                reseal(w, |files| {
                    files.retain(|path, _| !path.contains(&name));
                    let view = bundle::view(&west_camera());
                    files.remove(&view);
                })
            },
        ),
    ]
}
