//! Lays a world out as the payload of a bundle, as an honest controller would.

use std::fmt::Write as _;

use custody::bundle::AuditLine;
use custody::log::VerifierKey;
use custody::log::note::Algorithm;
use custody::record::{KeyCert, KeyUsage, Record, Statement};
use custody::{CameraId, SecretKey, Seq, SiteId, bundle};

use super::draft::{Draft, Line, Log, secret};
use super::files::Files;
use super::footage::{self, Shot};
use super::stamp;
use super::world::{self, CONTROLLER_LOG, World};

/// The payload.
#[must_use]
pub fn payload(world: &World) -> Files {
    let authority = secret(world.authority);
    let mut files = Files::from([
        (bundle::REQUEST.to_owned(), b"{\"synthetic\":true}\n".to_vec()),
        (bundle::AUTHORITY.to_owned(), authority.public().to_pem().into_bytes()),
        (bundle::AUDIT_CASE.to_owned(), b"{\"@graph\":[]}\n".to_vec()),
        (bundle::AUDIT_HTML.to_owned(), b"<!doctype html><title>Synthetic</title>\n".to_vec()),
        (bundle::COVERAGE.to_owned(), b"{}\n".to_vec()),
        (bundle::TIME_ACCURACY.to_owned(), b"{}\n".to_vec()),
        (bundle::STATEMENT.to_owned(), b"Synthetic.\n".to_vec()),
    ]);
    let controller = world.controller_log();
    lay_controller(world, &controller, &authority, &mut files);
    for draft in [&world.east, &world.west] {
        let lines = draft.sign();
        let log = draft.log(&lines);
        lay_site(world, draft, &authority, &mut files);
        for size in [3, 5] {
            let foreign = controller.foreign(size);
            let path = bundle::foreign_note(&draft.site, foreign.note_sha256);
            files.insert(path, controller.note(size));
        }
        lay_certificates(draft, &lines, &log, &mut files);
        lay_links(draft, &lines, &log, &mut files);
        lay_stamp(draft, &log, &mut files);
    }
    for camera in [world::east_camera(), world::west_camera()] {
        lay_footage(world, &camera, &mut files);
    }
    files
}

/// The verifier key of a log.
#[must_use]
pub fn log_vkey(origin: &str, seed: u8) -> VerifierKey {
    VerifierKey::new(origin, Algorithm::Ed25519, secret(seed).public())
        .expect("the names here are valid")
}

fn lay_site(world: &World, draft: &Draft, authority: &SecretKey, files: &mut Files) {
    let grants = world.grants.iter().filter(|grant| grant.site == draft.site);
    let lines = grants.flat_map(|grant| {
        let statement = Record::Other(Statement::Key(grant.clone())).sign(authority);
        [statement.bytes(), b"\n"].concat()
    });
    files.insert(bundle::key_grants(&draft.site), lines.collect());
    let vkey = log_vkey(&draft.origin, draft.log_seed);
    let policy = world::policy(draft.site.as_str(), &vkey);
    files.insert(bundle::policy(&draft.site), policy.to_string().into_bytes());
}

/// The newest certificate of each key for records and of the log.
fn lay_certificates(draft: &Draft, lines: &[Line], log: &Log, files: &mut Files) {
    for (index, line) in lines.iter().enumerate() {
        let Record::Other(Statement::KeyCert(cert)) = &line.record else { continue };
        if cert.usage == KeyUsage::Witness {
            continue;
        }
        let path = bundle::key_cert(&draft.site, &cert.key_id);
        files.insert(path, line.envelope.bytes().to_vec());
        files.insert(bundle::key_cert_proof(&draft.site, &cert.key_id), log.proof(index));
    }
}

fn lay_links(draft: &Draft, lines: &[Line], log: &Log, files: &mut Files) {
    for (index, line) in lines.iter().enumerate() {
        let Some(link) = line.record.link() else { continue };
        // A link of another site's camera is in the log for a mutation to use; it is not laid out.
        if *link.camera.site() != draft.site {
            continue;
        }
        let records = files.entry(bundle::records(link.camera)).or_default();
        records.extend_from_slice(line.envelope.bytes());
        records.push(b'\n');
        files.insert(bundle::link_proof(link.camera, link.seq), log.proof(index));
    }
}

/// The newest checkpoint, stamped half a minute after its witnesses were to have cosigned it.
fn lay_stamp(draft: &Draft, log: &Log, files: &mut Files) {
    let size = log.leaves.len();
    let delay_s = log.cosigners.iter().map(|one| one.delay_s).max().unwrap_or(0);
    let (note, at) = (log.note(size), log.leaves[size - 1].1.plus_seconds(30 + delay_s));
    let number = u64::try_from(size).expect("a short log");
    files.insert(bundle::stamp(&draft.site, number), stamp::token(&note, at));
    files.insert(bundle::stamped_note(&draft.site, number), note);
}

fn lay_footage(world: &World, camera: &CameraId, files: &mut Files) {
    let films: Vec<_> = world.films.iter().filter(|one| one.camera == *camera).collect();
    let mut playlist = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:8\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n"
        .to_owned();
    for one in &films {
        let seq = Seq(one.seq);
        files.insert(bundle::init(camera, seq), one.shot.init.clone());
        files.insert(bundle::master(camera, seq), one.shot.plain());
        let list = serde_json::to_vec(&one.shot.disclosed()).expect("fragments have a JSON form");
        files.insert(bundle::disclosed(camera, seq), list);
        // Writing to a String cannot fail.
        let _written = writeln!(
            playlist,
            "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-{0:010}.mp4\"\n#EXTINF:8.0,\n{0:010}.m4s",
            one.seq
        );
    }
    playlist += "#EXT-X-ENDLIST\n";
    files.insert(bundle::playlist(camera), playlist.into_bytes());
    let shots: Vec<&Shot> = films.iter().map(|one| &one.shot).collect();
    files.insert(bundle::view(camera), footage::view(&shots));
}

fn lay_controller(world: &World, log: &Log, authority: &SecretKey, files: &mut Files) {
    let key = secret(CONTROLLER_LOG).public();
    let cert = KeyCert {
        site: "controller".parse::<SiteId>().expect("a valid name"),
        usage: KeyUsage::Log,
        key_id: key.id(),
        public_key: key.to_hex(),
        name: Some(log.origin.clone()),
        not_before: world::at(-400),
        not_after: world::at(30_000_000),
    };
    let cert = Record::Other(Statement::KeyCert(cert)).sign(authority);
    files.insert(bundle::CONTROLLER_LOG_KEY.to_owned(), cert.bytes().to_vec());
    let policy = world::policy("controller", &log_vkey(&log.origin, log.seed));
    files.insert(bundle::CONTROLLER_POLICY.to_owned(), policy.to_string().into_bytes());
    let mut places = Vec::new();
    let mut lines = Vec::new();
    for number in &world.of_case {
        let event = &world.events[*number];
        let position = u64::try_from(*number).expect("a short log");
        places.push(AuditLine { position, salt: event.salt });
        lines.extend_from_slice(&event.body);
        lines.push(b'\n');
        files.insert(bundle::audit_proof(position), log.proof_at(*number, world.events.len()));
    }
    let places = serde_json::to_vec(&places).expect("numbers have a JSON form");
    files.insert(bundle::AUDIT_PLACES.to_owned(), places);
    files.insert(bundle::AUDIT.to_owned(), lines);
}
