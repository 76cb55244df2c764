//! Erasure seen from below: a real ext4 file system in an image, the real store on it, and every byte of
//! the image looked at after footage has expired. Then an old copy of the whole image, as a thief or a
//! backup has it.
//!
//! Needs loop mounts, so root. Where they are refused this fails and says so: it is the one proof that
//! the file system keeps nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use custody::sealed::{Header, SealedSegment};
use custody::sealing::{self, Key};

use super::*;
use crate::seal::{FileRoot, KeyRing, Root};
use crate::store::tests::FRAGMENT_US;

const MARKER: &[u8] = b"MARKER-ONE-PERSON-CROSSES-THE-YARD";
const IMAGE_BYTES: &str = "96M";

/// A mounted image; unmounted when dropped.
struct Mounted {
    image: PathBuf,
    at: PathBuf,
}

impl Mounted {
    fn new(folder: &Path, name: &str) -> Self {
        let image = folder.join(format!("{name}.img"));
        run("truncate", &["-s", IMAGE_BYTES, &image.display().to_string()]);
        run("mkfs.ext4", &["-q", "-F", &image.display().to_string()]);
        Self::mount(image)
    }

    fn mount(image: PathBuf) -> Self {
        let at = image.with_extension("mnt");
        fs::create_dir(&at).unwrap();
        run("mount", &["-o", "loop", &image.display().to_string(), &at.display().to_string()]);
        Self { image, at }
    }

    /// The state folder that lies on it.
    fn state(&self) -> PathBuf {
        let folders = fs::read_dir(&self.at).unwrap().flatten();
        folders.map(|it| it.path()).find(|it| it.join("keys").is_dir()).unwrap()
    }

    /// What lies on it, as a power cut would leave it: everything written, nothing unmounted.
    fn copy(&self, name: &str) -> PathBuf {
        run("sync", &["-f", &self.at.display().to_string()]);
        let to = self.image.with_file_name(format!("{name}.img"));
        fs::copy(&self.image, &to).unwrap();
        to
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.at).status();
        assert!(unmounted.is_ok_and(|it| it.success()), "umount {} by hand", self.at.display());
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| {
        panic!("{program}: {error}; install Debian's e2fsprogs and mount, and run this as root")
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}; run this as root, on a machine with loop devices (in a \
         container: --privileged)"
    );
}

/// Which of these needles stand in the bytes.
fn found<'a>(bytes: &[u8], needles: &'a BTreeMap<String, Vec<u8>>) -> Vec<&'a str> {
    let stands = |needle: &Vec<u8>| {
        bytes.windows(needle.len()).any(|window| window[0] == needle[0] && window == needle)
    };
    needles.iter().filter(|(_, needle)| stands(needle)).map(|(name, _)| name.as_str()).collect()
}

fn bytes(key: &Key) -> Vec<u8> {
    key.danger_bytes().to_vec()
}

/// Records, expires, and looks at what is left.
struct Story<'a> {
    disc: Mounted,
    site: Site,
    root: &'a dyn Fn(&Path) -> Box<dyn Root>,
    /// Segment keys, hours' keys, site keys and marked plaintext.
    needles: BTreeMap<String, Vec<u8>>,
    headers: Vec<Header>,
}

impl<'a> Story<'a> {
    fn new(folder: &Path, root: &'a dyn Fn(&Path) -> Box<dyn Root>) -> Self {
        let disc = Mounted::new(folder, "disc");
        let site = Site::on(&disc.at);
        let needles = BTreeMap::from([("marker".to_owned(), MARKER.to_vec())]);
        Self { disc, site, root, needles, headers: Vec::new() }
    }

    fn keys_folder(&self) -> PathBuf {
        self.site.folder().join("keys")
    }

    fn start(&self) -> Store {
        self.site.start_rooted((self.root)(&self.keys_folder()))
    }

    /// Two hours of both cameras, every picture marked.
    fn record(&mut self, store: &Store) {
        let plain = MARKER.repeat(2000);
        for hour in 0..2 {
            for camera in &self.site.cameras {
                for _ in 0..4 {
                    let stored = self.site.record_bytes(store, camera, &plain);
                    let key = store.segment_key(camera, stored.seq).unwrap();
                    self.needles.insert(format!("key of {camera} {}", stored.seq), bytes(&key));
                    let file = fs::read(store.segment_path(camera, stored.seq).unwrap()).unwrap();
                    self.headers.push(SealedSegment::read(&file).unwrap().header);
                }
            }
            self.site.clock.advance_ms(3_600_000 - 16 * (FRAGMENT_US / 1000).unsigned_abs());
            self.note_keys(&format!("hour {hour}"));
        }
    }

    /// Every site key and hour's key that is there now.
    fn note_keys(&mut self, when: &str) {
        let keys = self.keys_folder();
        let root = (self.root)(&keys);
        let there = KeyRing::danger_keys(&keys, &"east".parse().unwrap(), root.as_ref()).unwrap();
        for (number, key) in there.iter().enumerate() {
            self.needles.insert(format!("key {number} at {when}"), bytes(key));
        }
    }

    /// A month passes; sweeps as they come, an hour apart at its end.
    fn expire(&self, store: &Store) {
        let mut sweeper = Sweeper::new(store.clone(), self.site.clock.clone(), rules());
        self.site.clock.advance_ms(31 * 86_400_000 - 3_600_000);
        for _ in 0..5 {
            self.site.clock.advance_ms(3_600_000);
            sweeper.sweep_with(PLENTY).unwrap();
        }
        assert_eq!(store.stats().unwrap().segments, 0);
        assert!(store.key_state().unwrap().hours.is_empty());
        sound(store);
    }

    /// Nothing of an image that was copied before the footage expired opens under the keys there are now.
    fn opens_nothing(&self, old: &Mounted, now: &[Key]) {
        let state = old.state();
        let ring = fs::read(state.join("keys/ring")).unwrap();
        for header in &self.headers {
            let file = crate::store::tests::segment_file(&state, header);
            assert!(file.is_file(), "the old copy has the footage");
            let wrapped = hex::decode(&header.wrapped_key).unwrap();
            let place = sealing::segment_key_place(&header.camera, header.seq, header.epoch);
            let hour = sealing::epoch_key_place(&"east".parse().unwrap(), header.epoch);
            for key in now {
                assert!(key.unwrap(&wrapped, &place).is_err());
                // A wrapped key may stand anywhere in the ring.
                assert!(ring.windows(60).all(|entry| key.unwrap(entry, &hour).is_err()));
            }
        }
    }
}

#[test]
fn nothing_of_erased_footage_is_left_in_the_raw_image() {
    let folder = tempfile::tempdir().unwrap();
    let root = |keys: &Path| -> Box<dyn Root> { Box::new(FileRoot::new(keys)) };
    let mut story = Story::new(folder.path(), &root);
    let store = story.start();
    story.record(&store);
    let old = story.disc.copy("old");
    // The needles are good ones: the site key lies there in the clear, as long as a file keeps it.
    let site_key = root(&story.keys_folder()).secrets().unwrap().remove(0);
    let known = BTreeMap::from([("site key".to_owned(), bytes(&site_key.key))]);
    assert_eq!(found(&fs::read(&old).unwrap(), &known), ["site key"]);
    let elsewhere: BTreeMap<_, _> =
        story.needles.iter().filter(|(_, key)| **key != bytes(&site_key.key)).collect();
    let elsewhere = elsewhere.into_iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    assert!(found(&fs::read(&old).unwrap(), &elsewhere).is_empty(), "no other key is in the clear");

    story.expire(&store);
    drop(store);
    run("sync", &["-f", &story.disc.at.display().to_string()]);
    let left = fs::read(&story.disc.image).unwrap();
    let none: [&str; 0] = [];
    assert_eq!(found(&left, &story.needles), none, "in the raw image");
    for entry in fs::read_dir(story.site.folder().join("index")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(found(&fs::read(&path).unwrap(), &story.needles), none, "{}", path.display());
    }
    // An old copy of ring and footage, without the folder of the site key, opens nothing.
    let now = root(&story.keys_folder()).secrets().unwrap();
    let now: Vec<Key> = now.iter().map(|secret| secret.key.clone()).collect();
    let old = Mounted::mount(old);
    story.opens_nothing(&old, &now);
}

#[cfg(feature = "hsm")]
#[test]
fn an_old_image_of_the_whole_disc_opens_nothing_once_the_token_has_moved_on() {
    use crate::seal::root::token::TokenRoot;
    use crate::seal::root::token::tests::{settings, with_a_token};

    let name = "retention::sweep::tests::raw_image::\
                an_old_image_of_the_whole_disc_opens_nothing_once_the_token_has_moved_on";
    with_a_token(name, |folder| {
        let root = |_: &Path| -> Box<dyn Root> {
            Box::new(TokenRoot::open(settings(folder)).unwrap_or_else(|e| panic!("{e}")))
        };
        let mut story = Story::new(folder, &root);
        let store = story.start();
        story.record(&store);
        let old = story.disc.copy("old");
        let none: [&str; 0] = [];
        assert_eq!(found(&fs::read(&old).unwrap(), &story.needles), none, "not even a site key");
        story.expire(&store);
        drop(store);
        run("sync", &["-f", &story.disc.at.display().to_string()]);
        let left = fs::read(&story.disc.image).unwrap();
        assert_eq!(found(&left, &story.needles), none, "in the raw image");

        // Every file as it was, and the token as it is.
        let old = Mounted::mount(old);
        let now = root(Path::new("")).secrets().unwrap();
        let now: Vec<Key> = now.iter().map(|secret| secret.key.clone()).collect();
        story.opens_nothing(&old, &now);
        let state = old.state();
        let opened =
            KeyRing::open(&state.join("keys"), &"east".parse().unwrap(), root(Path::new("")));
        let refused = opened.err().unwrap().to_string();
        assert!(refused.contains("opens under no site key"), "{refused}");
    });
}
