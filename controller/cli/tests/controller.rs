//! The command line against a server over real TLS: its CA, its token, its refusals.
#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps nothing")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use proto::v1::evidence_server::{Evidence, EvidenceServer};
use proto::v1::{
    ApproveRequest, Case, FetchRequest, FilePiece, GetCaseRequest, ListCasesRequest,
    ListCasesResponse, RefuseRequest, RequestEvidenceRequest,
};
use tokio_stream::Iter;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use watchhouse_cli::args::Args;
use watchhouse_cli::failure::{Exit, Failure};
use watchhouse_cli::run::run;

/// A controller with one case. Remembers the tokens it was shown.
#[derive(Clone, Default)]
struct Desk {
    tokens: Arc<Mutex<Vec<String>>>,
}

type Pieces<T> = Iter<std::vec::IntoIter<Result<T, Status>>>;

fn case(state: &str) -> Case {
    Case { case_ref: "WH-2026-000001".into(), state: state.into(), ..Case::default() }
}

fn refusal(code: &'static str) -> Status {
    let mut status = Status::failed_precondition("the case is not bundled; wait until it is");
    status.metadata_mut().insert(proto::CODE_KEY, code.parse().unwrap());
    status
}

#[tonic::async_trait]
impl Evidence for Desk {
    type WatchStream = Pieces<Case>;
    type FetchStream = Pieces<FilePiece>;

    async fn request(&self, _: Request<RequestEvidenceRequest>) -> Result<Response<Case>, Status> {
        Ok(Response::new(case("requested")))
    }

    async fn approve(&self, _: Request<ApproveRequest>) -> Result<Response<Case>, Status> {
        Err(Status::permission_denied("you asked for it yourself"))
    }

    async fn refuse(&self, _: Request<RefuseRequest>) -> Result<Response<Case>, Status> {
        Ok(Response::new(case("refused")))
    }

    async fn list(
        &self,
        request: Request<ListCasesRequest>,
    ) -> Result<Response<ListCasesResponse>, Status> {
        let token = request.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        self.tokens.lock().unwrap().push(token);
        Ok(Response::new(ListCasesResponse { cases: vec![case("bundled")] }))
    }

    async fn get(&self, _: Request<GetCaseRequest>) -> Result<Response<Case>, Status> {
        Ok(Response::new(case("held")))
    }

    async fn watch(
        &self,
        request: Request<GetCaseRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let end = if request.get_ref().case_ref.ends_with('1') { "bundled" } else { "failed" };
        let changes = vec![Ok(case("held")), Ok(case("pulling")), Ok(case(end)), Ok(case("held"))];
        Ok(Response::new(tokio_stream::iter(changes)))
    }

    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        let path = match request.get_ref().case_ref.as_str() {
            "WH-1" => "data/a",
            "WH-2" => "../escaped",
            _ => return Err(refusal("case-not-bundled")),
        };
        let piece = |offset, bytes: &[u8]| FilePiece {
            path: path.into(),
            offset,
            bytes: bytes.to_vec(),
            file_bytes: 5,
            bundle_bytes: 5,
        };
        Ok(Response::new(tokio_stream::iter(vec![Ok(piece(0, b"one")), Ok(piece(3, b"go"))])))
    }
}

struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

fn authority() -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: rcgen::Issuer::new(params, key) }
}

/// Runs `story` beside a server on loopback; the story gets the command line's common options.
async fn beside_a_controller<F: Future<Output = ()>>(
    desk: Desk,
    folder: &Path,
    story: impl FnOnce(Vec<String>, PathBuf) -> F,
) {
    let ours = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &ours.issuer).unwrap();
    let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .unwrap()
        .add_service(EvidenceServer::new(desk))
        .serve_with_incoming(TcpListenerStream::new(listener));

    let (ca, token, foreign) =
        (folder.join("ca.pem"), folder.join("token"), folder.join("foreign.pem"));
    fs::write(&ca, &ours.pem).unwrap();
    fs::write(&foreign, authority().pem).unwrap();
    fs::write(&token, "t0ken\n").unwrap();
    let options = [
        "watchhouse".to_owned(),
        format!("--controller=https://127.0.0.1:{port}"),
        format!("--ca={}", ca.display()),
        format!("--token-file={}", token.display()),
    ];
    tokio::select! {
        () = story(options.to_vec(), foreign) => {}
        ended = server => panic!("the server ended: {ended:?}"),
    }
}

async fn watchhouse(options: &[String], command: &str) -> Result<Exit, Failure> {
    let words = options.iter().cloned().chain(command.split(' ').map(str::to_owned));
    run(&Args::try_parse_from(words).unwrap()).await
}

#[tokio::test]
async fn commands_reach_the_controller_and_its_refusals_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::default();
    let seen = desk.tokens.clone();
    let to = folder.path().join("out");
    beside_a_controller(desk, folder.path(), |options, foreign| async move {
        let ask = |command: String| {
            let options = options.clone();
            async move { watchhouse(&options, &command).await }
        };
        assert_eq!(ask("evidence list".into()).await, Ok(Exit::Done));
        assert_eq!(ask("--output=json evidence list".into()).await, Ok(Exit::Done));
        assert_eq!(*seen.lock().unwrap(), ["Bearer t0ken", "Bearer t0ken"]);

        let own = ask("evidence approve WH-1 --reason mine".into()).await.unwrap_err();
        assert_eq!(own.exit, Exit::Refused);
        assert!(own.message.contains("yourself"), "{own}");
        assert_eq!(ask("evidence watch WH-1".into()).await, Ok(Exit::Done));
        assert_eq!(ask("evidence watch WH-2".into()).await, Ok(Exit::Refused));

        let early = ask(format!("evidence fetch WH-9 --to {}", to.display())).await.unwrap_err();
        assert_eq!((early.exit, early.code.as_deref()), (Exit::Refused, Some("case-not-bundled")));
        let escape = ask(format!("evidence fetch WH-2 --to {}", to.display())).await.unwrap_err();
        assert!(escape.message.contains("../escaped"), "{escape}");
        assert!(!to.exists() && !to.with_file_name("escaped").exists());
        assert_eq!(ask(format!("evidence fetch WH-1 --to {}", to.display())).await, Ok(Exit::Done));
        assert_eq!(fs::read(to.join("data/a")).unwrap(), b"onego");

        // Another CA, however well known, is not ours.
        let mut others = options.clone();
        others[2] = format!("--ca={}", foreign.display());
        let failure = watchhouse(&others, "evidence list").await.unwrap_err();
        assert_eq!(failure.exit, Exit::Away);
        assert!(failure.message.contains("certificate"), "{failure}");
        assert_eq!(seen.lock().unwrap().len(), 2, "no token went to a stranger");
    })
    .await;
}
