//! Runs one RTSP session after another, by `retina`. Decides nothing: `watch`, `timeline`,
//! `sender_clock`, `strays`, `gate`, `stream` and `outbox` do.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use custody::WallTime;
use futures::StreamExt as _;
use host::Clock;
use retina::client::{
    Demuxed, Described, InitialTimestampPolicy, PlayOptions, Session, SessionGroup, SessionOptions,
    SetupOptions, TcpTransportOptions, TeardownPolicy, Tool, Transport,
};
use retina::codec::{CodecItem, FrameFormat, ParametersRef, VideoFrame};
use retina::rtcp::{PacketRef, ReceivedCompoundPacket};
use tokio::sync::mpsc;
use tracing::debug;
use url::Url;

use super::gate::Turn;
use super::outbox::{Closed, Outbox};
use super::sender_clock::SenderClock;
use super::strays::Strays;
use super::timeline::{Outcome, Timeline};
use super::tunnel::{NoTunnel, Tunnels};
use super::watch::{Limits, Watch};
use super::{Address, Codec, Event, Facts, Frame, Gate, Parameters, Pin, Reason, stream};

/// The largest access unit that is taken: twice the largest a 4K camera was seen to make.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// How long a camera has to answer our TEARDOWN before the next session begins.
const TEARDOWN: Duration = Duration::from_secs(5);

/// One camera's session settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// Whom to trust as the camera, if its address says TLS.
    pub pin: Option<Pin>,
    /// When a session is given up, and the pauses between sessions.
    pub limits: Limits,
    /// How long the camera has to answer each of DESCRIBE, SETUP and PLAY.
    pub step_ms_max: u64,
    /// How long sessions are waited for that a faulty server still sends to. `retina` takes it to
    /// forget them after 65 s.
    pub stray_ms_max: u64,
    /// Whose turn it is to connect, of all the site's cameras.
    pub gate: Gate,
    /// What the recorder and the session tell each other.
    pub facts: Facts,
}

impl Settings {
    /// The usual settings for `address`.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self {
            address,
            pin: None,
            limits: Limits::default(),
            step_ms_max: 10_000,
            stray_ms_max: 66_000,
            gate: Gate::default(),
            facts: Facts::default(),
        }
    }
}

/// Why a session ended.
struct Down {
    reason: Reason,
    detail: String,
    /// By packets of another session.
    foreign: bool,
}

impl Down {
    fn of(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), foreign: false }
    }
}

/// How a session is left.
enum Left {
    /// By the camera or our verdict: try again after a pause.
    Down(Down),
    /// The recorder is gone.
    Closed,
}

impl From<Closed> for Left {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Down> for Left {
    fn from(down: Down) -> Self {
        Self::Down(down)
    }
}

/// Records what the camera does into `events` until `stop` is ready (`host::Tasks::stopping`) or the receiver is gone.
/// `random` spreads the pauses: any uniform source.
pub async fn run(
    settings: Settings,
    clock: Clock,
    mut random: impl FnMut() -> u32 + Send,
    events: mpsc::Sender<Event>,
    stop: impl Future<Output = ()> + Send,
) {
    let group = Arc::new(SessionGroup::default());
    let mut worker = Worker {
        watch: Watch::new(settings.limits),
        settings,
        clock,
        outbox: Outbox::new(events),
        group: Arc::clone(&group),
        strays: Strays::default(),
        tunnels: Tunnels::default(),
    };
    let recording = async {
        loop {
            let Left::Down(Down { reason, detail, foreign }) = worker.run_once().await else {
                return;
            };
            worker.settings.facts.set_drift(None);
            worker.strays.handle_end(foreign, worker.watch.failures() == 0);
            let pause_ms = worker.watch.handle_down(random());
            debug!(%reason, %detail, pause_ms, "camera session ended");
            let at = worker.clock.now();
            if worker.outbox.down(Event::Down { reason, detail, at }).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    };
    tokio::select! {
        () = recording => {}
        () = stop => {}
    }
    // The session was dropped above; let its TEARDOWN out before the runtime may go.
    let _best_effort = tokio::time::timeout(TEARDOWN, group.await_teardown()).await;
}

struct Worker {
    settings: Settings,
    clock: Clock,
    watch: Watch,
    outbox: Outbox,
    group: Arc<SessionGroup>,
    strays: Strays,
    tunnels: Tunnels,
}

impl Worker {
    /// One session, from DESCRIBE to its end.
    async fn run_once(&mut self) -> Left {
        if let Err(closed) = self.await_strays().await {
            return closed.into();
        }
        let turn = self.settings.gate.turn(self.watch.failures()).await;
        let (mut playing, stream_i, codec) = match self.connect(turn).await {
            Ok(playing) => playing,
            Err(down) => return down.into(),
        };
        self.watch.handle_session(self.clock.tick().0);
        let mut session = Footage {
            codec,
            stream_i,
            parameters: None,
            timeline: Timeline::default(),
            sender_clock: SenderClock::default(),
            lost: 0,
        };
        loop {
            let item = match self.next(&mut playing).await {
                Ok(item) => item,
                Err(down) => return down.into(),
            };
            match item {
                CodecItem::VideoFrame(frame) => {
                    if let Err(left) = self.take(&mut session, &playing, frame) {
                        return left;
                    }
                }
                CodecItem::Rtcp(packet) => session.hear(&packet, self.clock.now()),
                _ => {}
            }
        }
    }

    /// Lets the last session's TEARDOWN be answered; and if the camera still sends to sessions that
    /// are gone, says so and waits until it has forgotten them.
    async fn await_strays(&mut self) -> Result<(), Closed> {
        let _best_effort = tokio::time::timeout(TEARDOWN, self.group.await_teardown()).await;
        let stale = self.group.stale_sessions();
        if stale.num_sessions == 0 || !self.strays.must_wait() {
            return Ok(());
        }
        let wait = Duration::from_millis(self.settings.stray_ms_max);
        let detail = format!(
            "the camera still sends packets of an earlier session into new ones (a fault of live555 \
             before 2017.06.04): waiting up to {} s until it forgets; update its firmware",
            wait.as_secs()
        );
        let at = self.clock.now();
        self.outbox.down(Event::Down { reason: Reason::Garbage, detail, at }).await?;
        let over = self.group.await_stale_sessions(&stale);
        let _best_effort = tokio::time::timeout(wait, over).await;
        Ok(())
    }

    /// From DESCRIBE to PLAY; then the next camera has its turn.
    async fn connect(&mut self, _turn: Turn) -> Result<(Demuxed, usize, Codec), Down> {
        let url = self.reach().await?;
        let address = &self.settings.address;
        let options = SessionOptions::default()
            .creds(address.credentials())
            .user_agent("watchhouse".to_owned())
            .session_group(Arc::clone(&self.group))
            .teardown(TeardownPolicy::Auto);
        let describe = Session::<Described>::describe(url, options);
        let mut session = self.step("DESCRIBE", describe).await?;
        self.strays.handle_tool(session.tool().is_some_and(Tool::has_live555_tcp_bug));
        let offered = session.streams().iter().map(|s| (s.media(), s.encoding_name()));
        let (stream_i, codec) = stream::pick(offered)
            .map_err(|detail| Down::of(Reason::CodecUnsupported, address.redact(&detail)))?;
        let setup = SetupOptions::default()
            .transport(Transport::Tcp(TcpTransportOptions::default()))
            .frame_format(FrameFormat::MP4);
        self.step("SETUP", session.setup(stream_i, setup)).await?;
        // Media time begins at the first packet: cameras lie in RTP-Info.
        let play = PlayOptions::default().initial_timestamp(InitialTimestampPolicy::Ignore);
        let playing = self.step("PLAY", session.play(play)).await?;
        let demuxed = playing.demuxed().map_err(|e| self.down(&e, false))?;
        Ok((demuxed, stream_i, codec))
    }

    /// The address that `retina` is to call: the camera's own, or that of a tunnel to it.
    async fn reach(&mut self) -> Result<Url, Down> {
        let Settings { address, pin, step_ms_max, .. } = &self.settings;
        if !address.is_tls() {
            return Ok(address.url().clone());
        }
        let limit = Duration::from_millis(*step_ms_max);
        let opening = self.tunnels.open(address, pin.as_ref());
        let detail = match tokio::time::timeout(limit, opening).await {
            Ok(Ok(url)) => return Ok(url),
            Ok(Err(NoTunnel(why))) => why,
            Err(_elapsed) => format!("no secure connection in {step_ms_max} ms"),
        };
        Err(Down::of(Reason::Unreachable, address.redact(&detail)))
    }

    /// One request of the handshake, within its time.
    async fn step<T>(
        &self,
        what: &str,
        request: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, Down> {
        let limit = Duration::from_millis(self.settings.step_ms_max);
        match tokio::time::timeout(limit, request).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.down(&error, false)),
            Err(_elapsed) => {
                let detail = format!("no answer to {what} in {} ms", self.settings.step_ms_max);
                Err(Down::of(Reason::Unreachable, detail))
            }
        }
    }

    fn down(&self, error: &retina::Error, playing: bool) -> Down {
        let text = error.to_string();
        let status = error.status_code();
        let is_udp_only = stream::is_udp_only(status, &text);
        let reason = match status {
            _ if is_udp_only => Reason::NotFound,
            Some(status) if status != 200 => stream::reason_of_status(status),
            _ => stream::reason_of_text(&text, playing),
        };
        let said = self.settings.address.redact(&text);
        let detail = if is_udp_only { format!("{}: {said}", stream::NO_TCP) } else { said };
        Down { reason, detail, foreign: stream::is_foreign(&text) }
    }

    /// The next item, or the verdict when none comes in time.
    async fn next(&mut self, playing: &mut Demuxed) -> Result<CodecItem, Down> {
        let mut item = pin!(playing.next());
        loop {
            let now_ms = self.clock.tick().0;
            self.watch.handle_written(self.settings.facts.written_ms());
            if let Some(reason) = self.watch.poll_verdict(now_ms) {
                let detail = match reason {
                    Reason::NeverKeyFrame => {
                        "frames come, but no key frame to begin with: set the camera's key frame \
                         interval (GOP) to 2 s"
                    }
                    _ => "the session stands, but no frame comes",
                };
                return Err(Down::of(reason, detail));
            }
            let wait_ms = self.watch.poll_deadline_ms().saturating_sub(now_ms).max(1);
            let wait = Duration::from_millis(wait_ms);
            match tokio::time::timeout(wait, item.as_mut()).await {
                Ok(Some(Ok(item))) => return Ok(item),
                Ok(Some(Err(error))) => return Err(self.down(&error, true)),
                Ok(None) => {
                    return Err(Down::of(Reason::Ended, "the camera closed the session"));
                }
                Err(_elapsed) => {}
            }
        }
    }

    /// Passes one access unit on.
    fn take(
        &mut self,
        session: &mut Footage,
        playing: &Demuxed,
        frame: VideoFrame,
    ) -> Result<(), Left> {
        session.lost = session.lost.saturating_add(u32::from(frame.loss()));
        let begun = session.parameters.is_some();
        if !begun || frame.has_new_parameters() {
            session.learn(playing)?;
        }
        let (arrived, now_ms) = (self.clock.now(), self.clock.tick().0);
        self.settings.facts.set_received(arrived);
        let Some(parameters) = &session.parameters else {
            // No SPS yet: nothing can be decoded, as if no key frame came.
            self.watch.handle_frame(now_ms, false);
            return Ok(());
        };
        if !begun {
            self.outbox.connected(Arc::clone(parameters));
        }
        let pts = frame.timestamp().elapsed();
        let data = Bytes::from(frame.into_data());
        if data.len() > FRAME_BYTES_MAX {
            let detail = format!("a frame of {} bytes", data.len());
            return Err(Down::of(Reason::Garbage, detail).into());
        }
        let key = stream::is_key(session.codec, &data);
        self.watch.handle_frame(now_ms, key);
        let sender_clock = &session.sender_clock;
        let taken = || sender_clock.taken_at(pts, arrived);
        let outcome = session.timeline.map_taken(pts, arrived, taken);
        self.settings.facts.set_drift(session.timeline.drift_ppm());
        if let Outcome::Jump { from, to } = outcome {
            session.sender_clock.handle_jump();
            self.outbox.jumped(from, to);
        }
        let lost = std::mem::take(&mut session.lost);
        let parameters = Arc::clone(parameters);
        let wall = outcome.wall();
        let camera_offset_ms = session.sender_clock.offset_ms(arrived);
        let frame = Frame { pts, wall, arrived, key, data, parameters, lost, camera_offset_ms };
        self.outbox.offer(frame)?;
        Ok(())
    }
}

/// What one session carries from frame to frame.
struct Footage {
    codec: Codec,
    stream_i: usize,
    parameters: Option<Arc<Parameters>>,
    timeline: Timeline,
    sender_clock: SenderClock,
    /// Packets lost since the last frame passed on.
    lost: u32,
}

impl Footage {
    /// Takes in what the camera says of its clock, if that is what the packet holds.
    fn hear(&mut self, packet: &ReceivedCompoundPacket, arrived: WallTime) {
        if let Some(Ok(Some(report))) = packet.pkts().next().map(PacketRef::as_sender_report) {
            let pts = packet.rtp_timestamp().map(|at| at.elapsed());
            self.sender_clock.handle_report(report.ntp_timestamp().0, pts, arrived);
        }
    }

    /// Takes over the stream's parameters as they are after the latest frame. Equal ones stay the
    /// same `Arc`: repeating an SPS changes nothing.
    fn learn(&mut self, playing: &Demuxed) -> Result<(), Down> {
        let stream = playing.streams().get(self.stream_i);
        let Some(ParametersRef::Video(video)) = stream.and_then(|s| s.parameters()) else {
            return Ok(());
        };
        let parameters = stream::parameters(self.codec, video).ok_or_else(|| {
            let detail = format!("pictures of {:?} pixels", video.pixel_dimensions());
            Down::of(Reason::CodecUnsupported, detail)
        })?;
        if self.parameters.as_deref() != Some(&parameters) {
            self.parameters = Some(Arc::new(parameters));
        }
        Ok(())
    }
}
