//! The sites' link: cut, slow, lossy, refused. Recording goes on, pulls go on where they stopped, and
//! what was missed is caught up.

use std::sync::Arc;
use std::time::Duration;

use harness::force::{ADMINISTRATOR, AUDITOR, CameraPlan, Force, Recording, TECHNICIAN};
use harness::rig::cameras::{Auth, Cameras};
use harness::rig::eventually::eventually;
use harness::rig::footage::Clip;
use harness::rig::impair::{Conditions, Path};
use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);

/// Two thirds of a certificate's 60 days, and a little.
const RENEWAL_DUE: &str = "+41d";

#[tokio::test]
async fn a_certificate_is_renewed_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let camera = "hq/int-03";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    let plans = [plan(&cameras, camera)];
    force.add_site("hq", &plans, &Recording::default(), to).await.unwrap();
    force.await_recording(1).await.unwrap();
    let certificate = force.site_state("hq").join("keys/link.crt");
    let first = std::fs::read(&certificate).unwrap();
    force.site("hq").unwrap().terminate().unwrap();
    force.site("hq").unwrap().wait(MINUTE).await.unwrap();

    // Preloaded by hand: the `faketime` program would stay between us and the agent.
    let preload = format!("LD_PRELOAD={}", libfaketime());
    let offset = format!("FAKETIME={RENEWAL_DUE}");
    force.start_site_by("hq", "env", &[&preload, &offset, "DONT_FAKE_MONOTONIC=1"]).unwrap();
    let renewed = || async {
        let now = std::fs::read(&certificate).ok()?;
        (now != first).then_some(())
    };
    eventually("another certificate", MINUTE, renewed).await.unwrap();
    // It is one of the site's: the controller lets it in.
    force.site("hq").unwrap().kill().await.unwrap();
    force.start_site("hq").unwrap();
    let connected = || async {
        let trail = force.cli(AUDITOR, &["--output", "json", "audit"]).await.ok()?.out;
        let after = trail.split_once("site-renewed")?.1;
        after.contains("site-connected").then_some(())
    };
    eventually("connected with the renewed certificate", MINUTE, connected).await.unwrap();
}

/// Where Debian keeps it for this machine's architecture.
fn libfaketime() -> String {
    let places = std::fs::read_dir("/usr/lib").unwrap();
    let libraries = places.map(|place| place.unwrap().path().join("faketime/libfaketime.so.1"));
    libraries.into_iter().find(|library| library.exists()).unwrap().display().to_string()
}

fn plan(cameras: &Cameras, camera: &str) -> CameraPlan {
    CameraPlan::internal(camera.split_once('/').unwrap().1, cameras.url(camera).unwrap())
}

async fn site(force: &Force, name: &str) -> Option<Value> {
    let sites = force.ask(TECHNICIAN, &["sites"]).await.ok()?;
    sites.as_array()?.iter().find(|site| site["site"] == name).cloned()
}

#[tokio::test]
async fn a_pull_over_a_bad_network_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let camera = "east/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let bad = Conditions { loss_percent: 3, delay_ms: 20 };
    let network = Path::open(force.fleet_address(), 7, bad).await.unwrap();
    // About 2 MB at 200 kB/s: long enough to be cut in the middle.
    let recording = Recording { pull_bytes_per_second: 200_000, ..Recording::default() };
    let plans = [plan(&cameras, camera)];
    force.add_site("east", &plans, &recording, network.addr()).await.unwrap();
    force.await_footage(&[camera], 16).await.unwrap();
    let case = force.request(&[camera], "-14s", "-1s").await.unwrap();
    force.approve(&case).await.unwrap();
    let pulled = || async {
        let shown = force.ask(TECHNICIAN, &["evidence", "show", &case]).await.ok()?;
        let (bytes, of) = (shown["bytes_pulled"].as_u64()?, shown["bytes_to_pull"].as_u64()?);
        (bytes > 200_000).then_some((bytes, of))
    };
    let (before, of) = eventually("the pull is under way", MINUTE, pulled).await.unwrap();
    assert!(before < of, "the pull was over before it could be cut: {before} of {of}");
    let sent_before = network.counters().up_bytes;
    network.cut();
    let away = || async { site(&force, "east").await.filter(|site| site["state"] == "away") };
    eventually("the controller sees the site away", MINUTE, away).await.unwrap();
    network.restore();
    let ended = force.await_bundle(&case).await.unwrap();
    assert_eq!(ended["verdict"], "verified", "{ended:#}");
    // What came after the cut is the rest and the network's own losses, not everything again.
    let sent_after = network.counters().up_bytes - sent_before;
    assert!(sent_after < of, "{sent_after} bytes after the cut for the rest of {of}");
}

#[tokio::test]
async fn a_site_without_its_controller_records_on_and_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let camera = "south/int-02";
    let cameras = Cameras::start([(camera, Clip::WalkwayH265)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    let plans = [plan(&cameras, camera)];
    force.add_site("south", &plans, &Recording::default(), to).await.unwrap();
    force.await_footage(&[camera], 4).await.unwrap();
    let before = site(&force, "south").await.unwrap()["log_size"].as_u64().unwrap();

    force.controller.kill().await.unwrap();
    force.await_files("south", force.stored_files("south"), 3).await.unwrap();
    force.restart_controller().await.unwrap();

    let caught_up = || async {
        let site = site(&force, "south").await?;
        let (size, copied) = (site["log_size"].as_u64()?, site["log_copied"].as_u64()?);
        (site["state"] == "connected" && size >= before + 3 && copied >= before + 3).then_some(())
    };
    eventually("the log's copy has caught up", MINUTE * 2, caught_up).await.unwrap();
}

#[tokio::test]
async fn revoked_and_foreign_certificates_are_refused_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let camera = "west/int-01";
    let cameras = Cameras::start([(camera, Clip::WalkwayH264)], Auth::Open).await.unwrap();
    let mut force = Force::start(folder.path()).await.unwrap();
    let to = force.fleet_address();
    let plans = [plan(&cameras, camera)];
    force.add_site("west", &plans, &Recording::default(), to).await.unwrap();
    force.await_recording(1).await.unwrap();

    let refused = dial_with_foreign_certificate(&force).await;
    assert!(refused, "a certificate of another authority was let in");
    let revoke = ["site", "revoke", "west", "--reason", "The recorder was stolen"];
    force.ask(ADMINISTRATOR, &revoke).await.unwrap();
    let trail = || async {
        let trail = force.cli(AUDITOR, &["--output", "json", "audit"]).await.ok()?.out;
        let refusals: Vec<&str> =
            trail.lines().filter(|line| line.contains("connection-refused")).collect();
        let foreign = refusals.iter().any(|line| line.contains("handshake"));
        let revoked = refusals.iter().any(|line| line.contains("revoked"));
        (foreign && revoked).then_some(())
    };
    eventually("both attempts are in the audit trail", MINUTE, trail).await.unwrap();
    let site = site(&force, "west").await.unwrap();
    assert_eq!(site["state"], "revoked", "{site:#}");
}

/// Whether the controller ends a connection whose certificate says `CN=west` but comes from another
/// authority.
async fn dial_with_foreign_certificate(force: &Force) -> bool {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "west");
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let trusted = std::fs::read(force.folder().join("controller/pki/ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&trusted).unwrap()).unwrap();
    host::quic::install_crypto();
    let mut tls = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    tls.alpn_protocols = vec![link::ALPN.to_vec()];
    let client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let connecting = endpoint.connect_with(client, force.fleet_address(), "127.0.0.1").unwrap();
    match tokio::time::timeout(MINUTE, connecting).await.unwrap() {
        Err(_) => true,
        // TLS 1.3: the client believes it is in until the server's refusal arrives.
        Ok(connection) => tokio::time::timeout(MINUTE, connection.closed()).await.is_ok(),
    }
}
