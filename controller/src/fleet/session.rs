//! One site's connection, from its first stream to its end.

use std::sync::Arc;
use std::time::Duration;

use custody::SiteId;
use host::quic::{Duplex, HTTP2_WINDOW_BYTES};
use hyper_util::rt::TokioIo;
use link::stream;
use proto::v1::agent_client::AgentClient;
use proto::v1::fleet_server::FleetServer;
use quinn::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Server};

use super::listen::{self, Admitted, CLOSE_REPLACED, CLOSE_REVOKED};
use super::{Fleet, serve};
use crate::ledger::{Actor, Command, Event, Refusal};

/// Who is at the other end of a stream.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// None: a connection without a certificate, which may only enrol.
    pub(super) site: Option<SiteId>,
}

/// Streams on their way to the gRPC server. Full: the stream waits, and the agent's call with it.
pub(super) type Served = mpsc::Sender<Duplex<Peer>>;

/// A connected site.
#[derive(Clone)]
pub(super) struct Session {
    connection: Connection,
    /// For questions that take a moment.
    pub(super) agent: AgentClient<Channel>,
    /// For files, which give way to questions.
    pub(super) bulk: AgentClient<Channel>,
}

/// Without a certificate a connection has this long to enrol.
const ENROL: Duration = Duration::from_secs(60);
/// A stream that does not say what it is within this is dropped.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// No question to an agent takes longer.
const CALL: Duration = Duration::from_secs(30);
/// Below the streams of questions, which have priority 0.
const BULK_PRIORITY: i32 = -1;
/// Files received at once from one site.
const BULK_STREAMS_MAX: usize = 8;

/// Starts the one gRPC server of all agents; gives the way in.
pub(super) fn serve_agents(fleet: &Fleet) -> Served {
    let (served, streams) = mpsc::channel::<Duplex<Peer>>(64);
    let service = FleetServer::new(serve::FleetService::new(fleet.clone()))
        .max_decoding_message_size(proto::MESSAGE_BYTES_MAX);
    let tasks = fleet.0.parts.tasks.clone();
    fleet.0.parts.tasks.spawn("fleet grpc", async move {
        let server = Server::builder()
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES)
            .max_concurrent_streams(64)
            .timeout(CALL)
            .add_service(service);
        let streams = ReceiverStream::new(streams).map(Ok::<_, std::io::Error>);
        if let Err(error) = server.serve_with_incoming_shutdown(streams, tasks.stopping()).await {
            tracing::error!(%error, "the fleet's gRPC server ended");
        }
    });
    served
}

pub(super) async fn run(
    fleet: Fleet,
    connection: Connection,
    admitted: Option<Admitted>,
    served: Served,
) {
    let Some(admitted) = admitted else {
        let enrolling = streams(&fleet, &connection, None, &served);
        if tokio::time::timeout(ENROL, enrolling).await.is_err() {
            connection.close(CLOSE_REPLACED, b"enrolled or too slow");
        }
        return;
    };
    let site = admitted.site.clone();
    let remote = connection.remote_address().to_string();
    tracing::info!(%site, remote, "site connected");
    let session = Session {
        agent: agent(&connection, 0),
        bulk: agent(&connection, BULK_PRIORITY),
        connection: connection.clone(),
    };
    let older = {
        let mut sites = fleet.sites();
        let state = sites.entry(site.clone()).or_default();
        state.presence.connected = true;
        state.session.replace(session)
    };
    if let Some(older) = older {
        older.connection.close(CLOSE_REPLACED, b"replaced");
    }
    let connected = Command::SiteConnected { site: site.clone(), remote };
    submit(&fleet, Actor::Controller, connected).await;
    let reason = tokio::select! {
        reason = streams(&fleet, &connection, Some(&site), &served) => reason,
        why = listen::revoked(&fleet, &admitted) => {
            connection.close(CLOSE_REVOKED, why.as_bytes());
            why
        }
    };
    tracing::info!(%site, reason, "site disconnected");
    let was_present = {
        let mut sites = fleet.sites();
        let state = sites.entry(site.clone()).or_default();
        let mine = |s: &Session| s.connection.stable_id() == connection.stable_id();
        let was_present = state.session.as_ref().is_some_and(mine);
        if was_present {
            state.session = None;
            state.presence.connected = false;
        }
        was_present
    };
    if was_present {
        let gone = Command::SiteDisconnected { site, reason };
        submit(&fleet, Actor::Controller, gone).await;
    }
}

/// Serves the connection's streams until it ends; gives the reason.
async fn streams(
    fleet: &Fleet,
    connection: &Connection,
    site: Option<&SiteId>,
    served: &Served,
) -> String {
    let bulk = Arc::new(Semaphore::new(BULK_STREAMS_MAX));
    let tasks = &fleet.0.parts.tasks;
    loop {
        tokio::select! {
            () = tasks.stopping() => return "controller is stopping".to_owned(),
            accepted = connection.accept_bi() => match accepted {
                Ok((send, receive)) => {
                    let peer = Peer { site: site.cloned() };
                    tasks.spawn("fleet stream", hand_over(send, receive, peer, served.clone()));
                }
                Err(error) => return error.to_string(),
            },
            accepted = connection.accept_uni() => match (accepted, site) {
                (Ok(receive), Some(site)) => {
                    let (fleet, site) = (fleet.clone(), site.clone());
                    let Ok(permit) = bulk.clone().acquire_owned().await else { continue };
                    tasks.spawn("fleet bulk", async move {
                        fleet.0.intake.receive(&site, receive).await;
                        drop(permit);
                    });
                }
                (Ok(_), None) => {}
                (Err(error), _) => return error.to_string(),
            },
        }
    }
}

/// Gives a stream that says it is for the gRPC server to it.
async fn hand_over(send: SendStream, mut receive: RecvStream, peer: Peer, served: Served) {
    let first = tokio::time::timeout(FIRST_BYTE, receive.read_u8()).await;
    if matches!(first, Ok(Ok(stream::FLEET))) {
        // Refused only when the server has ended, and then there is nobody to tell.
        drop(served.send(Duplex::new(send, receive, peer)).await);
    }
}

/// A channel whose every HTTP/2 connection is a stream of `connection` with this priority.
fn agent(connection: &Connection, priority: i32) -> AgentClient<Channel> {
    let connection = connection.clone();
    let connector = tower::service_fn(move |_| {
        let connection = connection.clone();
        async move {
            let (mut send, receive) = connection.open_bi().await?;
            send.set_priority(priority)?;
            send.write_u8(stream::AGENT).await?;
            Ok::<_, std::io::Error>(TokioIo::new(Duplex::new(send, receive, ())))
        }
    });
    let channel = Endpoint::from_static("http://agent")
        .timeout(CALL)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .connect_with_connector_lazy(connector);
    AgentClient::new(channel).max_decoding_message_size(proto::MESSAGE_BYTES_MAX)
}

/// Submits a command off the async threads: an append syncs the disc.
pub(super) async fn submit(
    fleet: &Fleet,
    actor: Actor,
    command: Command,
) -> Option<Result<Vec<Event>, Refusal>> {
    let ledger = fleet.0.parts.ledger.clone();
    let outcome = tokio::task::spawn_blocking(move || ledger.submit(actor, command)).await.ok()?;
    if let Err(refusal) = &outcome {
        tracing::warn!(%refusal, "the ledger refused the fleet's command");
    }
    Some(outcome)
}
