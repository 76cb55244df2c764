//! What happens on one connection: reports, the log's copy, renewal, and the controller's questions.

use std::time::Duration;

use custody::Digest;
use custody::log::note::Algorithm;
use custody::log::{SignedCheckpoint, VerifierKey};
use host::quic::{Duplex, HTTP2_WINDOW_BYTES};
use hyper_util::rt::TokioIo;
use link::catch_up::{BATCH_BYTES_MAX, CatchUp};
use link::stream;
use proto::v1::SubmitRecordsRequest;
use proto::v1::agent_server::AgentServer;
use proto::v1::fleet_client::FleetClient;
use quinn::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Server};

use super::credentials::{self, Credentials, Files};
use super::foreign::{self, Foreign};
use super::upload::Uploads;
use super::{Parts, enrol, report, serve};

pub(super) type FleetChannel = FleetClient<Channel>;

/// No question to the controller takes longer.
const CALL: Duration = Duration::from_secs(30);
/// Between reports, and between looks at the log.
const REPORT: Duration = Duration::from_secs(3);
/// A stream that does not say what it is within this is dropped.
const FIRST_BYTE: Duration = Duration::from_secs(10);

/// A gRPC channel whose every HTTP/2 connection is a stream of `connection`.
pub(super) fn fleet(connection: &Connection) -> FleetChannel {
    let connection = connection.clone();
    let connector = tower::service_fn(move |_| {
        let connection = connection.clone();
        async move {
            let (mut send, receive) = connection.open_bi().await?;
            send.write_u8(stream::FLEET).await?;
            Ok::<_, std::io::Error>(TokioIo::new(Duplex::new(send, receive, ())))
        }
    });
    let channel = Endpoint::from_static("http://controller")
        .timeout(CALL)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .connect_with_connector_lazy(connector);
    FleetClient::new(channel).max_encoding_message_size(proto::MESSAGE_BYTES_MAX)
}

/// Until the connection ends; gives the reason.
pub(super) async fn run(
    parts: &Parts,
    files: &Files,
    credentials: &Credentials,
    connection: &Connection,
) -> String {
    parts.copies.set(Some(connection));
    let ended = converse(parts, files, credentials, connection).await;
    parts.copies.set(None);
    ended
}

async fn converse(
    parts: &Parts,
    files: &Files,
    credentials: &Credentials,
    connection: &Connection,
) -> String {
    let uploads = Uploads::new(parts.clone(), connection.clone());
    let (served, streams) = mpsc::channel::<Duplex<()>>(16);
    let answering = answer(parts, uploads, streams);
    let accepting = accept(connection, &served);
    let talking = talk(parts, files, credentials, connection);
    tokio::select! {
        why = accepting => why,
        why = talking => why,
        why = answering => why,
    }
}

/// Serves the controller's questions.
async fn answer(parts: &Parts, uploads: Uploads, streams: mpsc::Receiver<Duplex<()>>) -> String {
    let service = AgentServer::new(serve::AgentService::new(parts.clone(), uploads))
        .max_decoding_message_size(proto::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(proto::MESSAGE_BYTES_MAX);
    let streams = ReceiverStream::new(streams).map(Ok::<_, std::io::Error>);
    let ended = Server::builder()
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_concurrent_streams(32)
        .timeout(CALL)
        .add_service(service)
        .serve_with_incoming(streams)
        .await;
    format!("the agent's gRPC server ended: {ended:?}")
}

async fn accept(connection: &Connection, served: &mpsc::Sender<Duplex<()>>) -> String {
    loop {
        match connection.accept_bi().await {
            Ok((send, receive)) => hand_over(send, receive, served).await,
            Err(error) => return error.to_string(),
        }
    }
}

async fn hand_over(send: SendStream, mut receive: RecvStream, served: &mpsc::Sender<Duplex<()>>) {
    let first = tokio::time::timeout(FIRST_BYTE, receive.read_u8()).await;
    if matches!(first, Ok(Ok(stream::AGENT))) {
        // Fails only when the connection is being left.
        drop(served.send(Duplex::new(send, receive, ())).await);
    }
}

async fn talk(
    parts: &Parts,
    files: &Files,
    credentials: &Credentials,
    connection: &Connection,
) -> String {
    let mut fleet = fleet(connection);
    let mut copy = CatchUp::new();
    let mut foreign = Foreign::default();
    let mut offered = None;
    let mut renewed = false;
    parts.grace.handle_connected();
    loop {
        let report = report::of(parts).await;
        match fleet.report(report).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                parts.grace.handle_answer(answer.holds_pending);
                name_foreign(parts, &mut foreign, answer.checkpoints).await;
            }
            Err(status) => return format!("report: {}", status.message()),
        }
        // Before the log's size is read: so the controller has all that the checkpoint covers.
        let checkpoint = parts.store.checkpoint();
        if let Err(why) = catch_up(parts, &mut fleet, &mut copy).await {
            return why;
        }
        if let Some(note) = checkpoint {
            offer_checkpoint(&mut fleet, &copy, &note, &mut offered).await;
        }
        let due = credentials::renewal_is_due(&credentials.certificate, parts.clock.now());
        if due && !renewed {
            match enrol::renew(&mut fleet, files).await {
                // The next connection shows the fresh one.
                Ok(()) => renewed = true,
                Err(error) => tracing::warn!(%error, "certificate not renewed; will try again"),
            }
        }
        tokio::time::sleep(REPORT).await;
    }
}

/// Lets the manifests name the newest checkpoint of another log that the controller brought.
async fn name_foreign(parts: &Parts, foreign: &mut Foreign, notes: Vec<Vec<u8>>) {
    let witness = parts.witness.clone();
    let compared = tokio::task::spawn_blocking(move || {
        let notes = notes.iter().take(foreign::NOTES_MAX);
        let notes: Vec<_> = notes.filter_map(|note| SignedCheckpoint::read(note).ok()).collect();
        for note in &notes {
            witness.compare(note);
        }
        notes
    });
    let Ok(notes) = compared.await else { return };
    let log = |origin: &str| parts.witness.known(origin).map(|(vkey, _)| vkey);
    let identity = parts.store.identity();
    let (name, key) = (identity.witness_name(), identity.witness_key().public());
    let Ok(own) = VerifierKey::new(&name, Algorithm::CosignatureV1, key) else { return };
    if let Some(named) = foreign.handle_notes(&notes, log, &own, parts.clock.now()) {
        parts.store.set_foreign_checkpoint(named);
    }
}

/// Brings the log's newest checkpoint to the controller, once. A controller that does not take it
/// says why to its own people; the link stands.
async fn offer_checkpoint(
    fleet: &mut FleetChannel,
    copy: &CatchUp,
    note: &[u8],
    offered: &mut Option<Digest>,
) {
    let digest = Digest::of(note);
    if *offered == Some(digest) {
        return;
    }
    *offered = Some(digest);
    let first_index = copy.next_index();
    let offer =
        SubmitRecordsRequest { first_index, records: Vec::new(), checkpoint: note.to_vec() };
    if let Err(status) = fleet.submit_records(offer).await {
        tracing::warn!(why = status.message(), "the controller does not take our checkpoint");
    }
}

/// Sends what the controller's copy of the log lacks.
async fn catch_up(
    parts: &Parts,
    fleet: &mut FleetChannel,
    copy: &mut CatchUp,
) -> Result<(), String> {
    let size = parts.store.log_size();
    while let Some((first_index, count)) = copy.poll_batch(size) {
        let store = parts.store.clone();
        let records = tokio::task::spawn_blocking(move || {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            store.log_read(first_index, count, BATCH_BYTES_MAX)
        });
        let records = records
            .await
            .map_err(|_| "stopping".to_owned())?
            .map_err(|error| format!("reading the site log: {error}"))?;
        // The question where to go on names the log: after a lost index it is another one.
        let note = (count == 0).then(|| parts.store.checkpoint()).flatten();
        let checkpoint = note.map(|note| note.to_vec()).unwrap_or_default();
        let is_named = !checkpoint.is_empty();
        let batch = SubmitRecordsRequest { first_index, records, checkpoint };
        let mut answer = fleet.submit_records(batch).await;
        if is_named && answer.as_ref().is_err_and(|s| s.code() == Code::FailedPrecondition) {
            // The checkpoint is not believed, which the controller's people are told; the link stands.
            answer = fleet.submit_records(SubmitRecordsRequest::default()).await;
        }
        let answer = answer.map_err(|status| format!("copying the log: {}", status.message()))?;
        copy.handle_answer(answer.into_inner().next_index);
    }
    if copy.is_ahead(size) {
        tracing::error!(
            "the controller has more of this site's log than the site: was an old disc restored?"
        );
    }
    Ok(())
}
