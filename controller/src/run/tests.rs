//! A whole controller on loopback: prepared, started, and called over TLS by people with and
//! without leave.

use std::time::Duration;

use proto::v1;
use proto::v1::audit_client::AuditClient;
use proto::v1::estate_client::EstateClient;
use proto::v1::evidence_client::EvidenceClient;
use proto::v1::holds_client::HoldsClient;
use proto::v1::people_client::PeopleClient;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code as Grpc, Request, Status};

use super::*;
use crate::registry::token::EnrolmentToken;

struct Scene {
    folder: tempfile::TempDir,
    channel: Channel,
    ledger: Ledger,
    tasks: Tasks,
    administrator: String,
}

/// A request with a bearer token.
fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

fn code(status: &Status) -> &str {
    let code = status.metadata().get(proto::CODE_KEY);
    code.and_then(|code| code.to_str().ok()).unwrap_or("no code")
}

impl Scene {
    async fn new() -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let clock = Clock::system();
        let token_path = init(&config, &"s.root".parse().unwrap(), &clock).unwrap();
        assert_eq!(token_path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let log = folder.path().join("log");
        assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let administrator = std::fs::read_to_string(&token_path).unwrap();
        let again = init(&config, &"s.root".parse().unwrap(), &clock);
        assert!(matches!(again, Err(RunError::AlreadyThere(_))));

        let tasks = Tasks::new();
        let (running, ledger) = start(&config, &clock, &tasks).await.unwrap();
        let ca = std::fs::read_to_string(folder.path().join("pki/ca.pem")).unwrap();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca))
            .domain_name("controller.example");
        let channel = Endpoint::from_shared(format!("https://{}", running.api))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect()
            .await
            .unwrap();
        Self { folder, channel, ledger, tasks, administrator }
    }

    async fn person(&self, name: &str, roles: &[&str]) -> String {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let add = v1::AddPersonRequest { person: name.to_owned(), roles };
        let mut people = PeopleClient::new(self.channel.clone());
        people.add_person(by(&self.administrator, add)).await.unwrap().into_inner().token
    }

    /// Site `east` enrols and announces a camera, as its agent would.
    async fn site(&self) {
        let mut estate = EstateClient::new(self.channel.clone());
        let wish = v1::CreateEnrolmentTokenRequest { site: "east".to_owned(), lives_s: 0 };
        let made = estate.create_enrolment_token(by(&self.administrator, wish)).await.unwrap();
        let token = EnrolmentToken::read(&made.into_inner().token).ok().unwrap();
        let ca = std::fs::read_to_string(self.folder.path().join("pki/ca.pem")).unwrap();
        let ca = <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>
            ::from_pem_slice(ca.as_bytes()).unwrap();
        assert_eq!(token.ca_sha256, custody::Digest::of(&ca));
        let enrol = Command::EnrolSite {
            site: token.site.clone(),
            secret_sha256: token.secret.sha256(),
            evidence_key: custody::SecretKey::from_seed(&[7; 32]).public().to_bytes(),
            serial: "40aa".to_owned(),
            certificate_ends: self.ledger.clock().now().plus_seconds(86_400),
        };
        self.ledger.send(Actor::Controller, enrol).await.unwrap();
        let cameras = vec!["east/ext-01".parse().unwrap()];
        let announce = Command::AnnounceCameras { site: token.site.clone(), cameras };
        self.ledger.send(Actor::Site(token.site), announce).await.unwrap();
    }

    fn wish(&self) -> v1::RequestEvidenceRequest {
        let now = self.ledger.clock().now();
        v1::RequestEvidenceRequest {
            cameras: vec!["east/ext-01".to_owned()],
            from_us: now.plus_seconds(-600).0,
            to_us: now.plus_seconds(-300).0,
            purpose: "crime".to_owned(),
            reason: "robbery in Mill Lane".to_owned(),
            crime_reference: "42/1234/26".to_owned(),
        }
    }

    fn evidence(&self) -> EvidenceClient<Channel> {
        EvidenceClient::new(self.channel.clone())
    }

    async fn audit(&self, token: &str) -> Vec<v1::AuditEntry> {
        let mut audit = AuditClient::new(self.channel.clone());
        let list = audit.list(by(token, v1::ListAuditRequest::default())).await.unwrap();
        let mut list = list.into_inner();
        let mut entries = Vec::new();
        while let Some(entry) = list.message().await.unwrap() {
            entries.push(entry);
        }
        entries
    }

    async fn end(self) {
        drop((self.channel, self.ledger));
        assert!(self.tasks.shut_down(Duration::from_secs(20)).await);
    }
}

fn config(state_dir: &Path) -> Config {
    crate::config::on_loopback(state_dir)
}

fn case(case_ref: &str) -> v1::GetCaseRequest {
    v1::GetCaseRequest { case_ref: case_ref.to_owned() }
}

fn approve(case_ref: &str) -> v1::ApproveRequest {
    v1::ApproveRequest { case_ref: case_ref.to_owned(), reason: "proportionate".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_officer_asks_an_authoriser_approves_and_the_case_waits_for_its_site() {
    let scene = Scene::new().await;
    scene.site().await;
    let officer = scene.person("t.okafor", &["requester"]).await;
    let authoriser = scene.person("a.bell", &["authoriser", "requester"]).await;
    let auditor = scene.person("o.fox", &["auditor"]).await;
    let mut evidence = scene.evidence();

    let made = evidence.request(by(&officer, scene.wish())).await.unwrap().into_inner();
    let reference = made.case_ref.clone();
    assert!(reference.starts_with("WH-") && reference.ends_with("-000001"), "{reference}");
    assert_eq!((made.state.as_str(), made.requested_by.as_str()), ("requested", "t.okafor"));

    let mut watch = evidence.watch(by(&officer, case(&reference))).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.state, "requested");
    let approved = evidence.approve(by(&authoriser, approve(&reference))).await.unwrap();
    assert_eq!(approved.into_inner().decided_by, "a.bell");
    // The agent is not there: the case says so, and goes on waiting.
    let waiting = async {
        loop {
            let case = watch.message().await.unwrap().unwrap();
            if case.detail.contains("east is not connected") {
                return case;
            }
        }
    };
    let waiting = tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    assert_eq!(waiting.state, "approved");
    drop(watch);

    let own = evidence.request(by(&authoriser, scene.wish())).await.unwrap().into_inner();
    let refused = evidence.approve(by(&authoriser, approve(&own.case_ref))).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Grpc::PermissionDenied, "own-request"));
    let others = evidence.get(by(&officer, case(&own.case_ref))).await.unwrap_err();
    assert_eq!(code(&others), "role-missing");
    let listed = evidence.list(by(&officer, v1::ListCasesRequest {})).await.unwrap().into_inner();
    assert_eq!(listed.cases.len(), 1);

    let entries = scene.audit(&auditor).await;
    let events: Vec<_> = entries.iter().map(|e| (e.actor.as_str(), e.event.as_str())).collect();
    for expected in [
        ("controller", "person-added"),
        ("s.root", "enrolment-token-created"),
        ("site:east", "cameras-announced"),
        ("t.okafor", "evidence-requested"),
        ("a.bell", "case-approved"),
        ("a.bell", "access-refused"),
        ("o.fox", "audit-read"),
    ] {
        assert!(events.contains(&expected), "{expected:?} in {events:?}");
    }
    let asked = entries.iter().find(|e| e.event == "evidence-requested").unwrap();
    assert_eq!((asked.purpose.as_str(), asked.object.as_str()), ("crime", reference.as_str()));
    assert!(!entries.iter().any(|e| e.json.contains("wh_")), "no token stands in the log");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_reaches_the_caller_with_its_code() {
    let scene = Scene::new().await;
    scene.site().await;
    let officer = scene.person("t.okafor", &["requester"]).await;
    let technician = scene.person("k.ode", &["technician"]).await;
    let supplier = scene.person("v.ms", &["supplier"]).await;
    let mut evidence = scene.evidence();

    let wish = scene.wish();
    let table: [(v1::RequestEvidenceRequest, &str); 5] = [
        (v1::RequestEvidenceRequest { reason: " ".to_owned(), ..wish.clone() }, "reason-missing"),
        (
            v1::RequestEvidenceRequest { purpose: "marketing".to_owned(), ..wish.clone() },
            "purpose-unknown",
        ),
        (
            v1::RequestEvidenceRequest { purpose: "maintenance".to_owned(), ..wish.clone() },
            "purpose-not-allowed",
        ),
        (
            v1::RequestEvidenceRequest { cameras: vec!["../../etc".to_owned()], ..wish.clone() },
            "name-invalid",
        ),
        (v1::RequestEvidenceRequest { to_us: i64::MAX, ..wish.clone() }, "range-invalid"),
    ];
    for (wish, expected) in table {
        let status = evidence.request(by(&officer, wish)).await.unwrap_err();
        assert_eq!(code(&status), expected);
    }
    for (token, expected) in [("", "token-unknown"), ("wh_guess", "token-unknown")] {
        let status = evidence.request(by(token, wish.clone())).await.unwrap_err();
        assert_eq!((status.code(), code(&status)), (Grpc::Unauthenticated, expected));
    }
    for token in [&supplier, &scene.administrator] {
        let status = evidence.request(by(token, wish.clone())).await.unwrap_err();
        assert_eq!(code(&status), "role-missing");
        let fetch = v1::FetchRequest { case_ref: "WH-2026-000001".to_owned() };
        assert_eq!(code(&evidence.fetch(by(token, fetch)).await.unwrap_err()), "role-missing");
    }
    let fetch = v1::FetchRequest { case_ref: "WH-2026-000001".to_owned() };
    let status = evidence.fetch(by(&technician, fetch)).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Grpc::NotFound, "case-unknown"));
    let mut audit = AuditClient::new(scene.channel.clone());
    let status = audit.list(by(&technician, v1::ListAuditRequest::default())).await.unwrap_err();
    assert_eq!(code(&status), "role-missing");
    let mut people = PeopleClient::new(scene.channel.clone());
    let status = people.list_people(by(&officer, v1::ListPeopleRequest {})).await.unwrap_err();
    assert_eq!(code(&status), "role-missing");

    let suspend = v1::SuspendPersonRequest {
        person: "t.okafor".to_owned(),
        reason: "left the force".to_owned(),
    };
    people.suspend_person(by(&scene.administrator, suspend)).await.unwrap();
    let status = evidence.request(by(&officer, wish)).await.unwrap_err();
    assert_eq!((status.code(), code(&status)), (Grpc::Unauthenticated, "person-suspended"));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_the_estate_and_health_answer() {
    let scene = Scene::new().await;
    scene.site().await;
    let technician = scene.person("k.ode", &["technician"]).await;
    let mut holds = HoldsClient::new(scene.channel.clone());
    let now = scene.ledger.clock().now();
    let order = v1::PlaceHoldOrder {
        cameras: vec!["east/ext-01".to_owned()],
        from_us: now.plus_seconds(-600).0,
        to_us: now.plus_seconds(-300).0,
        purpose: "security".to_owned(),
        reason: "fall on the front steps".to_owned(),
        ..v1::PlaceHoldOrder::default()
    };
    let whole =
        v1::PlaceHoldOrder { cameras: Vec::new(), site: "east".to_owned(), ..order.clone() };
    let bad = v1::PlaceHoldOrder { mopi_group: 5, ..order.clone() };
    assert_eq!(code(&holds.place(by(&technician, bad)).await.unwrap_err()), "grounds-unknown");
    let late = v1::PlaceHoldOrder { review_us: i64::MAX, ..order.clone() };
    assert_eq!(code(&holds.place(by(&technician, late)).await.unwrap_err()), "review-invalid");
    let hold = holds.place(by(&technician, order)).await.unwrap().into_inner().holds.remove(0);
    assert_eq!((hold.state.as_str(), hold.ordered_by.as_str()), ("ordered", "k.ode"));
    assert_eq!((hold.basis.as_str(), hold.mopi_group), ("law-enforcement", 3));
    assert!(hold.detail.starts_with("expires in 30 d 23 h, site east away"), "{}", hold.detail);
    assert_eq!(holds.place(by(&technician, whole)).await.unwrap().into_inner().holds.len(), 1);
    let due = v1::ListHoldsRequest { due_only: true, ..v1::ListHoldsRequest::default() };
    assert_eq!(holds.list(by(&technician, due)).await.unwrap().into_inner().holds.len(), 0);
    let reason = "claim withdrawn".to_owned();
    let release = v1::ReleaseHoldOrder { hold: hold.hold.clone(), reason };
    let released = holds.release(by(&technician, release.clone())).await.unwrap().into_inner();
    assert_eq!(released.holds[0].state, "release-ordered");
    let again = holds.release(by(&technician, release)).await.unwrap_err();
    assert_eq!(code(&again), "hold-state");
    let list = v1::ListHoldsRequest::default();
    let listed = holds.list(by(&technician, list)).await.unwrap().into_inner();
    assert_eq!(listed.holds.len(), 2);

    let mut estate = EstateClient::new(scene.channel.clone());
    let sites = estate.list_sites(by(&technician, v1::ListSitesRequest {})).await.unwrap();
    let sites: Vec<_> =
        sites.into_inner().sites.into_iter().map(|site| (site.site, site.state)).collect();
    assert_eq!(sites, [("east".to_owned(), "away".to_owned())]);
    let list = v1::ListCamerasRequest { site: "east".to_owned() };
    let cameras = estate.list_cameras(by(&technician, list)).await.unwrap().into_inner().cameras;
    assert_eq!(cameras.len(), 1);
    assert_eq!(cameras[0].state, "unknown");

    let mut health = tonic_health::pb::health_client::HealthClient::new(scene.channel.clone());
    let service = "watchhouse.v1.Evidence".to_owned();
    let check = tonic_health::pb::HealthCheckRequest { service };
    let answer = health.check(check).await.unwrap().into_inner();
    assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    scene.end().await;
}
