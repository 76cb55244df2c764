//! The port as a stranger's client sees it: TLS, health, reflection, and the files of a bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use custody::coverage::Span;
use custody::{CaseId, Digest, HoldId, SecretKey, SiteId, WallTime};
use host::{Clock, Tasks};
use proto::v1;
use proto::v1::evidence_client::EvidenceClient;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::access::{Actor, Purpose, Role};
use crate::evidence::RequestOrder;
use crate::evidence::case::Step;
use crate::evidence::hold::HoldStep;
use crate::ledger::{Command, Ledger};
use crate::limits;
use crate::log::{Event, RocksLog};
use crate::registry::token;
use crate::run;

const CASE: &str = "WH-2026-000001";

struct Scene {
    folder: tempfile::TempDir,
    channel: Channel,
    ledger: Ledger,
    tasks: Tasks,
    officer: String,
}

/// The case from request to bundle, as an earlier run of the controller left it in the log.
fn earlier_run(state_dir: &Path, officer: &str) {
    let log = RocksLog::open(&state_dir.join("log")).unwrap();
    let clock = Clock::simulated("2026-11-21T12:00:00Z".parse().unwrap());
    let ledger = Ledger::open(Box::new(log), clock).unwrap();
    let person = |name: &str| Actor::Person(name.parse().unwrap());
    let at = |text: &str| -> WallTime { text.parse().unwrap() };
    let (site, secret_sha256): (SiteId, _) = ("east".parse().unwrap(), Digest::of(b"secret"));
    let (hold, case): (HoldId, CaseId) =
        ("WH-2026-000001-01".parse().unwrap(), CASE.parse().unwrap());
    let cameras = vec!["east/ext-01".parse().unwrap()];
    let add = |name: &str, role: Role, bearer: &str| Command::AddPerson {
        person: name.parse().unwrap(),
        roles: [role].into(),
        token_sha256: token::bearer_sha256(bearer),
    };
    let step = |step| Command::StepCase { case: case.clone(), step };
    let token = Command::CreateEnrolmentToken { site: site.clone(), secret_sha256, lives_s: 0 };
    let enrol = Command::EnrolSite {
        site: site.clone(),
        secret_sha256,
        evidence_key: SecretKey::from_seed(&[7; 32]).public().to_bytes(),
        serial: "40".to_owned(),
        certificate_ends: at("2027-01-20T12:00:00Z"),
    };
    let announce = Command::AnnounceCameras { site: site.clone(), cameras: cameras.clone() };
    let request = Command::RequestEvidence(RequestOrder {
        cameras,
        span: Span { from: at("2026-11-21T11:50:00Z"), to: at("2026-11-21T11:59:00Z") },
        purpose: Purpose::Crime,
        reason: "robbery in Mill Lane".to_owned(),
        crime_reference: "42/1234/26".to_owned(),
    });
    let approve = Command::ApproveCase { case: case.clone(), reason: "proportionate".to_owned() };
    let placed = Command::StepHold { hold, step: HoldStep::Placed { segments: 11, erased: 0 } };
    let bundled = Step::Bundled {
        bytes: 4,
        verdict: "verified".to_owned(),
        detail: String::new(),
        coverage_basis_points: 10_000,
    };
    for (actor, command) in [
        (Actor::Controller, add("t.okafor", Role::Technician, officer)),
        (Actor::Controller, add("a.bell", Role::Authoriser, "another")),
        (person("s.root"), token),
        (Actor::Controller, enrol),
        (Actor::Site(site), announce),
        (person("t.okafor"), request),
        (person("a.bell"), approve),
        (Actor::Controller, placed),
        (Actor::Controller, step(Step::Held)),
        (Actor::Controller, step(Step::Pulling { segments: 11, bytes: 4096 })),
        (Actor::Controller, step(bundled)),
    ] {
        ledger.submit(actor, command).unwrap();
    }
}

impl Scene {
    async fn new() -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let config = crate::config::on_loopback(folder.path());
        let (clock, tasks, officer) = (Clock::system(), Tasks::new(), token::new_bearer());
        run::init(&config, &"s.root".parse().unwrap(), &clock).unwrap();
        earlier_run(folder.path(), &officer);
        let (running, ledger) = run::start(&config, &clock, &tasks).await.unwrap();
        let ca = std::fs::read_to_string(folder.path().join("pki/ca.pem")).unwrap();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca))
            .domain_name("controller.example");
        let endpoint = Endpoint::from_shared(format!("https://{}", running.api)).unwrap();
        let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
        Self { folder, channel, ledger, tasks, officer: officer.to_string() }
    }

    fn fetch(&self) -> Request<v1::FetchRequest> {
        let mut request = Request::new(v1::FetchRequest { case_ref: CASE.to_owned() });
        let value = MetadataValue::try_from(format!("Bearer {}", self.officer)).unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    }

    fn disclosures(&self) -> usize {
        let entries = self.ledger.entries(0, limits::READ_ENTRIES).unwrap();
        entries.iter().filter(|entry| matches!(entry.body, Event::BundleFetched(_))).count()
    }

    async fn end(self) {
        drop((self.channel, self.ledger));
        assert!(self.tasks.shut_down(Duration::from_secs(20)).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_fetched_in_pieces_that_make_its_files_again() {
    let scene = Scene::new().await;
    let mut evidence = EvidenceClient::new(scene.channel.clone());
    let missing = evidence.fetch(scene.fetch()).await.unwrap_err();
    let code = missing.metadata().get(proto::CODE_KEY).unwrap();
    assert_eq!(code.to_str().unwrap(), "bundle-missing");

    // Two pieces and a bit, one exact piece, and nothing at all.
    let sized = |bytes: usize| -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
    };
    let files: BTreeMap<&str, Vec<u8>> = [
        ("bagit.txt", sized(55)),
        ("data/east/ext-01/master.mp4", sized(2 * limits::PIECE_BYTES + 77)),
        ("data/east/ext-01/notes.txt", Vec::new()),
        ("data/whole.bin", sized(limits::PIECE_BYTES)),
    ]
    .into();
    let bundle = scene.folder.path().join("vault/bundles").join(CASE);
    for (name, bytes) in &files {
        let path = bundle.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let bundle_bytes: u64 = files.values().map(|bytes| bytes.len() as u64).sum();

    let mut pieces = evidence.fetch(scene.fetch()).await.unwrap().into_inner();
    let mut come: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut count = 0;
    while let Some(piece) = pieces.message().await.unwrap() {
        let file = come.entry(piece.path.clone()).or_default();
        assert_eq!(piece.offset, file.len() as u64, "{}", piece.path);
        assert_eq!(piece.file_bytes, files[piece.path.as_str()].len() as u64);
        assert_eq!(piece.bundle_bytes, bundle_bytes);
        assert!(piece.bytes.len() <= limits::PIECE_BYTES);
        file.extend(piece.bytes);
        count += 1;
    }
    assert_eq!(count, 1 + 3 + 1 + 1);
    let files: BTreeMap<String, Vec<u8>> =
        files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    assert!(come == files, "the files differ: {:?}", come.keys());
    assert_eq!(scene.disclosures(), 2, "each fetch is kept, also the one that found nothing");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_with_the_authority_finds_the_services_and_their_health() {
    let scene = Scene::new().await;
    let mut reflection = ServerReflectionClient::new(scene.channel.clone());
    let ask = |message_request| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message_request),
    };
    let asked = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("watchhouse.v1.Evidence".to_owned())),
    ]);
    let mut answers = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    let listed = answers.message().await.unwrap().and_then(|answer| answer.message_response);
    let Some(MessageResponse::ListServicesResponse(listed)) = listed else {
        panic!("no list of services: {listed:?}")
    };
    let names: BTreeSet<_> = listed.service.into_iter().map(|service| service.name).collect();
    for service in ["Evidence", "Holds", "Audit", "Estate", "People"] {
        assert!(names.contains(&format!("watchhouse.v1.{service}")), "{service} in {names:?}");
    }
    let described: Option<ServerReflectionResponse> = answers.message().await.unwrap();
    let described = described.and_then(|answer| answer.message_response);
    assert!(
        matches!(&described, Some(MessageResponse::FileDescriptorResponse(files))
            if !files.file_descriptor_proto.is_empty()),
        "{described:?}"
    );

    let mut health = HealthClient::new(scene.channel.clone());
    for service in ["", "watchhouse.v1.Evidence"] {
        let check = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(check).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = tonic_health::pb::HealthCheckRequest { service: "nobody".to_owned() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), tonic::Code::NotFound);
    scene.end().await;
}
