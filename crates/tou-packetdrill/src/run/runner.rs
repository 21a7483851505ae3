//! One script on one stack: events in order, each at its time.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use tou_proto::Instant;

use super::calls::{Returned, SERVER_PORT};
use super::compare::Mode;
use super::mapping::Mapping;
use super::settings::{IpVersion, Settings};
use super::shell::{self, Step};
use super::sockets::{Kind, Socket, Sockets};
use super::stack::{Info, Stack, State};
use super::verdict::{Failure, Trace, Verdict};
use super::watch::Cell;
use super::world::{Misbehaviour, World};
use super::{options, study, sysctl};
use crate::ast::{Action, Call, Direction, Event, Expr, Script, TimeSpec};
use crate::value::code::{self, CodeError, Globals};
use crate::value::{Dialect, Errno, number};

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far off its time an event may be, unless the script says.
    pub tolerance: Duration,
    /// How long to wait for a segment whose time is `*`.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Packetdrill's own tolerance.
        Self { tolerance: Duration::from_millis(4), patience: Duration::from_secs(1000) }
    }
}

/// Why a script does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Something is not as scripted.
    Fail(String),
    /// A segment is not as scripted.
    Mismatch { reason: String, scripted: Option<String>, actual: Option<String> },
    /// Something does not exist here.
    Skip(String),
}

impl Stop {
    pub(super) fn misbehaviour(Misbehaviour(reason): Misbehaviour) -> Self {
        Self::Fail(reason)
    }
}

/// The TCP ports of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flow {
    /// Ours.
    pub(super) local: u16,
    /// The peer's.
    pub(super) remote: u16,
}

/// A call that has not returned.
#[derive(Debug)]
struct Blocked {
    line: u32,
    call: Call,
    /// When it is to return; `None` for one that must not block at all.
    ends: Instant,
}

/// Where an event stands in its script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Something behind it is looked at.
    Body,
    /// The first event behind which nothing is looked at.
    TailStart,
    /// An event behind that.
    Tail,
}

/// The peer's port where the script does not care: outside tou's own range.
const CLIENT_PORT: u16 = 20_000;

/// The first local port of connections that are not bound.
const FIRST_LOCAL_PORT: u16 = 40_000;

/// A script being run.
#[derive(Debug)]
pub struct Runner<S: Stack> {
    pub(super) world: World<S>,
    pub(super) sockets: Sockets<S>,
    pub(super) mappings: BTreeMap<Flow, Mapping>,
    /// The connection that segments without ports belong to.
    pub(super) flow: Flow,
    pub(super) settings: Settings,
    /// The UDP port of encapsulation, zero for none.
    pub(super) tunnel_port: u16,
    pub(super) dialect: Dialect,
    pub(super) mode: Mode,
    pub(super) limits: Limits,
    pub(super) start: Instant,
    /// A burst shown as one segment is one segment.
    pub(super) strict_segments: bool,
    /// Questions that the stack has answered.
    pub(super) answered: usize,
    next_local_port: u16,
    globals: Globals,
    blocked: Vec<Blocked>,
    trace: Trace,
}

impl<S: Stack> Runner<S> {
    /// Runs `script` on `stack`.
    pub fn run(stack: S, script: &Script, mode: Mode, limits: Limits) -> Verdict {
        Self::watch(stack, script, mode, limits).0
    }

    /// Runs `script` on `stack`, and tells what kinds of segments arrived in which
    /// states.
    pub fn watch(stack: S, script: &Script, mode: Mode, limits: Limits) -> (Verdict, Vec<Cell>) {
        let world = World::new(stack);
        let start = world.now();
        let mut runner = Self {
            world,
            sockets: Sockets::default(),
            mappings: BTreeMap::new(),
            flow: Flow { local: SERVER_PORT, remote: CLIENT_PORT },
            settings: Settings::default(),
            tunnel_port: 0,
            dialect: Dialect::of(script),
            mode,
            limits,
            start,
            strict_segments: mode == Mode::Strict,
            answered: 0,
            next_local_port: FIRST_LOCAL_PORT,
            globals: Globals::new(),
            blocked: Vec::new(),
            trace: Trace::default(),
        };
        let verdict = match runner.play(script) {
            Ok(()) => Verdict::Pass,
            Err((_, Stop::Skip(reason))) => Verdict::Skip(reason),
            Err((line, Stop::Fail(reason))) => runner.failure(line, reason, None, None),
            Err((line, Stop::Mismatch { reason, scripted, actual })) => {
                runner.failure(line, reason, scripted, actual)
            }
        };
        (verdict, runner.world.watch().cells().to_vec())
    }

    fn failure(
        &self,
        line: u32,
        reason: String,
        scripted: Option<String>,
        actual: Option<String>,
    ) -> Verdict {
        Verdict::Fail(Failure { line, reason, scripted, actual, trace: self.trace.lines() })
    }

    fn play(&mut self, script: &Script) -> Result<(), (u32, Stop)> {
        if let Some((line, reason)) = study::beyond_us(script) {
            return Err((line, Stop::Skip(reason)));
        }
        for option in &script.options {
            let value = option.value.as_deref().unwrap_or_default();
            self.option(&option.name, value).map_err(|stop| (option.line, stop))?;
        }
        if !S::ECN && script.events.iter().any(study::wants_ecn) {
            return Err((0, Stop::Skip("ECN (RFC 3168)".to_owned())));
        }
        if !script.events.iter().any(study::expects) {
            return Err((0, Stop::Skip("nothing is expected".to_owned())));
        }
        self.settings.overhead = if study::is_encapsulated(script) { 8 } else { 0 };
        self.configure().map_err(|stop| (0, stop))?;
        let tail = study::tail_of(script);
        let mut last = 0;
        for (index, event) in script.events.iter().enumerate() {
            last = event.line;
            let rest = &script.events[index + 1..];
            let place = match index.cmp(&tail) {
                Ordering::Less => Place::Body,
                Ordering::Equal => Place::TailStart,
                Ordering::Greater => Place::Tail,
            };
            self.event(event, rest, place).map_err(|stop| (event.line, stop))?;
        }
        self.finish(tail < script.events.len()).map_err(|stop| (last, stop))
    }

    fn option(&mut self, name: &str, value: &str) -> Result<(), Stop> {
        let unknown = || Stop::Skip(format!("option --{name}={value}"));
        match (name, value) {
            // First of all: it sets everything else.
            ("home", "tou") => {
                self.settings = Settings { ip: self.settings.ip, ..Settings::tou() };
                self.limits.tolerance = Duration::ZERO;
                self.mode = Mode::Strict;
                self.strict_segments = true;
            }
            ("ip_version", "ipv4") => self.settings.ip = IpVersion::V4,
            ("ip_version", "ipv6") => self.settings.ip = IpVersion::V6,
            ("tolerance_usecs", _) => {
                let micros = value.parse().map_err(|_| unknown())?;
                self.limits.tolerance = Duration::from_micros(micros);
            }
            // What a script calls addresses is not compared: there is one peer.
            ("local_ip" | "remote_ip" | "netmask_ip" | "gateway_ip", _) => {}
            ("udp_encapsulation", "tcp") => {}
            // Packetdrill's device cuts what arrives to this size: what arrives here
            // is what the script says.
            ("mss", _) if self.dialect != Dialect::Tou => return Err(unknown()),
            ("strict_segments", _) => self.strict_segments = true,
            // Timestamps tick in milliseconds here.
            ("tcp_ts_tick_usecs", "0" | "1000") => {}
            _ => match options::from_line(&mut self.settings, name, value) {
                Ok(true) => {}
                Ok(false) => return Err(unknown()),
                Err(text) => return Err(Stop::Skip(text)),
            },
        }
        Ok(())
    }

    fn configure(&mut self) -> Result<(), Stop> {
        self.world.stack.configure(&self.settings).map_err(Stop::Skip)
    }

    /// Runs one event. In the tail, what else the stack sends is judged only when
    /// strict; but what it has sent before the tail begins is one segment too many.
    fn event(&mut self, event: &Event, rest: &[Event], place: Place) -> Result<(), Stop> {
        let (from, to) = self.when(event.time);
        if let Action::Packet(packet) = &event.action
            && packet.direction == Direction::Outbound
        {
            self.trace(&format!("expect {packet}"));
            return self.expect(packet, event.time, from, to);
        }
        if from + self.limits.tolerance < self.world.now() {
            let now = self.time(self.world.now());
            return Err(Stop::Fail(format!("it is {now}: {} has passed", self.time(from))));
        }
        self.advance(from)?;
        match (place, self.world.front().cloned()) {
            (_, None) => {}
            (Place::TailStart, Some(front)) => return Err(self.unexpected(&front)),
            (Place::Tail, Some(_)) if self.mode == Mode::Default => {}
            (Place::Body | Place::Tail, Some(_)) => self.nothing_overdue(rest)?,
        }
        self.trace(&event.action.to_string());
        match &event.action {
            Action::Packet(packet) => self.arrive(packet),
            Action::Icmp(icmp) => self.icmp(icmp),
            Action::Call(call) => self.call(call, event),
            Action::Command(text) => self.command(text),
            Action::Code(text) => self.code(text),
        }
    }

    /// At the end: nothing unexpected, and no call that still blocks.
    fn finish(&mut self, tail: bool) -> Result<(), Stop> {
        if let Some(blocked) = self.blocked.iter().map(|b| b.ends).max() {
            self.advance(blocked + self.limits.tolerance)?;
        }
        if let Some(blocked) = self.blocked.first() {
            let text = format!("line {}: {} does not return", blocked.line, blocked.call.name);
            return Err(Stop::Fail(text));
        }
        let ignored = tail && self.mode == Mode::Default;
        match self.world.front().cloned() {
            Some(captured) if !ignored => return Err(self.unexpected(&captured)),
            _ => {}
        }
        // All that was asked is the runner's own to answer: no proof of anything.
        if self.answered == 0 {
            return Err(Stop::Skip("nothing that it expects is the stack's to answer".to_owned()));
        }
        Ok(())
    }

    /// The times between which an event may happen.
    fn when(&self, time: TimeSpec) -> (Instant, Instant) {
        let now = self.world.now();
        match time {
            TimeSpec::Absolute(at) => (self.start + at.duration(), self.start + at.duration()),
            TimeSpec::Relative(after) => (now + after.duration(), now + after.duration()),
            TimeSpec::AbsoluteRange(from, to) => {
                (self.start + from.duration(), self.start + to.duration())
            }
            TimeSpec::RelativeRange(from, to) => (now + from.duration(), now + to.duration()),
            TimeSpec::Any | TimeSpec::Unset => (now, now),
        }
    }

    /// Lets time pass until `to`, and looks after calls that block.
    pub(super) fn advance(&mut self, to: Instant) -> Result<(), Stop> {
        while self.world.step(to).map_err(Stop::misbehaviour)? {
            self.retry_blocked()?;
        }
        self.world.advance(to).map_err(Stop::misbehaviour)?;
        self.retry_blocked()
    }

    pub(super) fn trace(&mut self, text: &str) {
        let since = self.world.now().saturating_since(self.start);
        self.trace.push(Instant::ZERO + since, text);
    }

    pub(super) fn is_strict(&self) -> bool {
        self.mode == Mode::Strict
    }

    pub(super) fn next_port(&mut self) -> u16 {
        self.next_local_port += 1;
        self.next_local_port
    }

    /// The peer's UDP address with `port`.
    pub(super) fn peer_address(&self, port: u16) -> SocketAddr {
        let ip = match self.settings.ip {
            IpVersion::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpVersion::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        };
        SocketAddr::new(ip, port)
    }

    /// A segment that should have been expected by now is one too many.
    fn nothing_overdue(&mut self, rest: &[Event]) -> Result<(), Stop> {
        let next = rest.iter().find(|event| study::is_outbound(event));
        if next.is_some_and(|event| event.time == TimeSpec::Any) {
            return Ok(());
        }
        let Some(front) = self.world.front() else { return Ok(()) };
        if front.at + self.limits.tolerance >= self.world.now() {
            return Ok(());
        }
        let front = front.clone();
        Err(self.unexpected(&front))
    }

    // --- calls ---

    fn call(&mut self, call: &Call, event: &Event) -> Result<(), Stop> {
        let returned = self.perform(call)?;
        if returned != Returned::Blocks {
            if call.ends.is_some() {
                return Err(Stop::Fail(format!("{} does not block", call.name)));
            }
            check(call, returned, self.dialect)?;
            return self.retry_blocked();
        }
        let now = self.world.now();
        let ends = match (call.ends, event.time) {
            (Some(ends), TimeSpec::Absolute(_)) => self.start + ends.duration(),
            // Both times of a relative pair count from the event before.
            (Some(ends), TimeSpec::Relative(after)) => {
                now.saturating_sub(after.duration()) + ends.duration()
            }
            (Some(_), _) => return Err(Stop::Skip(format!("time of {event}"))),
            (None, _) => now,
        };
        let at_once = call.ends.is_none();
        self.blocked.push(Blocked { line: event.line, call: call.clone(), ends });
        if at_once {
            self.advance(now + self.limits.tolerance)?;
            if self.blocked.iter().any(|blocked| blocked.line == event.line) {
                return Err(Stop::Fail(format!("{} blocks", call.name)));
            }
        }
        Ok(())
    }

    /// Tries calls that block again, and judges those that return.
    pub(super) fn retry_blocked(&mut self) -> Result<(), Stop> {
        let mut index = 0;
        while index < self.blocked.len() {
            let call = self.blocked[index].call.clone();
            match self.perform(&call)? {
                Returned::Blocks => index += 1,
                returned => {
                    let blocked = self.blocked.remove(index);
                    self.returns(&blocked, returned)?;
                }
            }
        }
        Ok(())
    }

    fn returns(&mut self, blocked: &Blocked, returned: Returned) -> Result<(), Stop> {
        let (now, tolerance) = (self.world.now(), self.limits.tolerance);
        self.trace(&format!("{} of line {} returns", blocked.call.name, blocked.line));
        check(&blocked.call, returned, self.dialect)?;
        if now > blocked.ends + tolerance || now + tolerance < blocked.ends {
            return Err(Stop::Fail(format!(
                "{} of line {} returns at {}, not at {}",
                blocked.call.name,
                blocked.line,
                self.time(now),
                self.time(blocked.ends)
            )));
        }
        Ok(())
    }

    // --- looks from outside ---

    fn command(&mut self, text: &str) -> Result<(), Stop> {
        for step in shell::read(text).map_err(Stop::Skip)? {
            match step {
                Step::Nothing => {}
                Step::Sysctl { name, value } => self.sysctl(&name, &value)?,
                Step::LinuxDefaults => self.settings = self.settings.with_linux_defaults(),
                Step::Count { state, wanted } => {
                    let count = self.count(state).to_string();
                    let asked = |socket: &Socket<S>| !matches!(socket.kind, Kind::Fresh);
                    self.answered += usize::from(self.sockets.iter().any(asked));
                    if !count.contains(&wanted) {
                        let text = format!("{count} sockets are in {state}, not {wanted}");
                        return Err(Stop::Fail(text));
                    }
                }
                Step::Drop(state) => self.drop_all(state)?,
            }
        }
        Ok(())
    }

    fn sysctl(&mut self, name: &str, value: &str) -> Result<(), Stop> {
        if name == "net.inet.tcp.udp_tunneling_port" {
            let unknown = |_| Stop::Skip(format!("sysctl {name}={value}"));
            self.tunnel_port = value.parse().map_err(unknown)?;
        }
        let before = self.settings;
        sysctl::set(&mut self.settings, name, value).map_err(Stop::Skip)?;
        if self.settings != before {
            self.configure()?;
        }
        Ok(())
    }

    /// Sockets in `state` that the script owns, and what its listeners hold.
    fn count(&self, state: State) -> usize {
        let stack = &self.world.stack;
        let count = |kind: &Kind<S>| match (kind, state) {
            (Kind::Fresh, State::Closed) | (Kind::Listening(_), State::Listen) => 1,
            (Kind::Listening(listener), State::SynReceived) => stack.half_open(*listener),
            (Kind::Conn(conn), _) => usize::from(stack.state(*conn) == state),
            _ => 0,
        };
        self.sockets.iter().map(|socket| count(&socket.kind)).sum()
    }

    fn drop_all(&mut self, state: State) -> Result<(), Stop> {
        let now = self.world.now();
        let conns: Vec<_> = self.sockets.iter().filter_map(Socket::conn).collect();
        for conn in conns {
            if self.world.stack.state(conn) == state {
                self.world.stack.forget(now, conn);
            }
        }
        self.world.drain().map_err(Stop::misbehaviour)
    }

    fn code(&mut self, text: &str) -> Result<(), Stop> {
        let dialect = self.dialect;
        let socket = self.sockets.last.and_then(|fd| self.sockets.get(fd));
        let (state, info) = match socket.map(|socket| &socket.kind) {
            Some(Kind::Conn(conn)) => (self.world.stack.state(*conn), self.world.stack.info(*conn)),
            Some(Kind::Listening(_)) => (State::Listen, Info::default()),
            _ => (State::Closed, Info::default()),
        };
        let stack = &self.world.stack;
        let conn = socket.and_then(Socket::conn);
        let figure = |name: &str| stack.figure(conn?, name.strip_prefix("tcpi_")?);
        let names = |name: &str| match name {
            "tcpi_state" => Some(state.number(dialect)),
            _ => options::tcpi(name, &info, dialect)
                .or_else(|| figure(name))
                .or_else(|| crate::value::constant(name, dialect)),
        };
        match code::run(text, &names, &mut self.globals) {
            Ok(_) => Ok(()),
            Err(CodeError::Unsupported(text)) => Err(Stop::Skip(format!("code: {text}"))),
            Err(error @ CodeError::Assertion(_)) => Err(Stop::Fail(error.to_string())),
        }
    }
}

/// Whether a call returned what it is to return.
fn check(call: &Call, returned: Returned, dialect: Dialect) -> Result<(), Stop> {
    let wrong =
        |seen: String| Err(Stop::Fail(format!("{} gives {seen}, not {}", call.name, call.outcome)));
    let wanted = match &call.outcome.value {
        Some(Expr::Ellipsis) | None => return Ok(()),
        Some(value) => number(value, dialect).map_err(Stop::Skip)?,
    };
    match (returned, &call.outcome.errno) {
        (Returned::Value(value), None) if value == wanted => Ok(()),
        (Returned::Value(value), _) => wrong(value.to_string()),
        (Returned::Error(errno), Some(name)) => match Errno::named(name) {
            None => Err(Stop::Skip(format!("error {name}"))),
            Some(expected) if expected == errno && wanted == -1 => Ok(()),
            Some(_) => wrong(format!("-1 {errno}")),
        },
        (Returned::Error(_), None) if wanted == -1 => Ok(()),
        (Returned::Error(errno), None) => wrong(format!("-1 {errno}")),
        (Returned::Blocks, _) => wrong("nothing yet".to_owned()),
    }
}
