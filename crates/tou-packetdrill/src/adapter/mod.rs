//! tou's core as the runner's stack.
//!
//! Nothing is decided here: every verb is the endpoint's. What is added is
//! memory, because a script's descriptor outlives its connection and the
//! endpoint's handle does not.

mod config;
mod held;

use core::fmt;

use tou_proto::{
    DatagramMachine, Endpoint, Event, Instant, ListenerId, PathError, Port, ReadError,
    ReceivedBatch, TransmitBuf, WriteError,
};

use crate::run::{Datagram, Info, Remote, Settings, Stack, State};
use crate::value::Errno;

use self::config::EndpointFacts;
use self::held::{Held, errno};

/// The core behind the runner's [`Stack`].
pub struct Core {
    endpoint: Endpoint,
    facts: EndpointFacts,
    /// A socket was opened: what the whole endpoint shares is settled.
    in_use: bool,
    conns: Vec<Held>,
    listeners: Vec<Listening>,
    buf: TransmitBuf,
}

/// A listener, and what its connections begin with.
#[derive(Debug)]
struct Listening {
    id: ListenerId,
    settings: Settings,
}

/// Index of a connection that was opened or accepted.
#[derive(Clone, Copy, Debug)]
pub struct ConnIndex(usize);

/// Index of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerIndex(usize);

/// Every script sees the same secrets.
const SEED: [u8; 32] = [0x5c; 32];

/// Datagrams in one batch: as many as one system call takes.
const MAX_SEGMENTS: usize = 64;

impl Default for Core {
    fn default() -> Self {
        let facts = EndpointFacts::default();
        Self {
            endpoint: Endpoint::new(facts.config(), SEED),
            facts,
            in_use: false,
            conns: Vec::new(),
            listeners: Vec::new(),
            buf: TransmitBuf::new(MAX_SEGMENTS, TransmitBuf::MAX_BYTES),
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("conns", &self.conns).finish_non_exhaustive()
    }
}

impl Core {
    /// Takes in what the endpoint tells: how connections ended.
    fn listen_to_events(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Closed(id, error) = event
                && let Some(held) = self.conns.iter_mut().find(|held| held.id == Some(id))
            {
                held.error = error.map(errno);
            }
        }
    }

    /// The connection that ended for an error gives it out once.
    fn death(&mut self, conn: ConnIndex) -> Option<Errno> {
        self.conns.get_mut(conn.0)?.error.take()
    }

    fn held(&self, conn: ConnIndex) -> Option<&Held> {
        self.conns.get(conn.0)
    }

    fn id(&self, conn: ConnIndex) -> Result<tou_proto::ConnId, Errno> {
        self.held(conn).and_then(|held| held.id).ok_or(Errno::ENOTCONN)
    }

    fn hold(&mut self, held: Held) -> ConnIndex {
        self.conns.push(held);
        ConnIndex(self.conns.len() - 1)
    }

    fn core_info(&self, conn: ConnIndex) -> Option<tou_proto::ConnectionInfo> {
        self.endpoint.info(self.held(conn)?.id?)
    }
}

impl Stack for Core {
    const ECN: bool = false;
    type Listener = ListenerIndex;
    type Conn = ConnIndex;

    fn configure(&mut self, settings: &Settings) -> Result<(), String> {
        let facts = EndpointFacts::of(settings)?;
        if facts == self.facts {
            return Ok(());
        }
        if self.in_use {
            return Err("MTU and TIME-WAIT cannot be changed while there are sockets".to_owned());
        }
        self.endpoint = Endpoint::new(facts.config(), SEED);
        self.facts = facts;
        Ok(())
    }

    fn handle_batch(&mut self, now: Instant, batch: &ReceivedBatch) {
        self.endpoint.handle_batch(now, batch);
        self.listen_to_events();
    }

    fn handle_path_error(&mut self, now: Instant, error: &PathError) {
        self.endpoint.handle_path_error(now, error);
        self.listen_to_events();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.listen_to_events();
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        while let Some(transmit) = self.endpoint.poll_transmit(now, &mut self.buf) {
            let datagrams = self.buf.data().chunks(transmit.stride.max(1));
            out.extend(datagrams.map(|data| Datagram {
                peer: transmit.peer,
                ecn: transmit.ecn,
                data: data.to_vec(),
            }));
        }
    }

    fn listen(
        &mut self,
        _now: Instant,
        port: Port,
        backlog: usize,
        settings: &Settings,
    ) -> Result<ListenerIndex, Errno> {
        let config = config::connection(settings).map_err(|_| Errno::EINVAL)?;
        let id = self
            .endpoint
            .listen_with(port, backlog, Some(config))
            .map_err(|_| Errno::EADDRINUSE)?;
        self.in_use = true;
        self.listeners.push(Listening { id, settings: *settings });
        Ok(ListenerIndex(self.listeners.len() - 1))
    }

    fn unlisten(&mut self, now: Instant, listener: ListenerIndex) {
        if let Some(listening) = self.listeners.get(listener.0) {
            self.endpoint.close_listener(now, listening.id);
        }
    }

    fn accept(&mut self, now: Instant, listener: ListenerIndex) -> Option<ConnIndex> {
        let listening = self.listeners.get(listener.0)?;
        let settings = listening.settings;
        let id = self.endpoint.accept(listening.id)?;
        let (remote, local) = self.endpoint.addresses(id)?;
        let conn = self.hold(Held::new(id, remote, local, settings));
        self.listen_to_events();
        if settings.cork {
            // The handle is fresh.
            let _ = self.endpoint.set_cork(now, id, true);
        }
        Some(conn)
    }

    fn half_open(&self, listener: ListenerIndex) -> usize {
        let listening = self.listeners.get(listener.0);
        let backlog = listening.and_then(|listening| self.endpoint.backlog(listening.id));
        backlog.map_or(0, |(opening, _)| opening)
    }

    fn connect(
        &mut self,
        now: Instant,
        remote: Remote,
        local: Port,
        settings: &Settings,
    ) -> Result<ConnIndex, Errno> {
        let config = config::connection(settings).map_err(|_| Errno::EINVAL)?;
        let remote = tou_proto::Remote { addr: remote.udp, port: remote.port };
        let id = self
            .endpoint
            .connect_with(now, remote, Some(local), Some(config))
            .map_err(|_| Errno::EADDRINUSE)?;
        self.in_use = true;
        if settings.cork {
            let _ = self.endpoint.set_cork(now, id, true);
        }
        Ok(self.hold(Held::new(id, remote, local, *settings)))
    }

    fn reconfigure(
        &mut self,
        now: Instant,
        conn: ConnIndex,
        settings: &Settings,
    ) -> Result<(), String> {
        let Some(held) = self.conns.get_mut(conn.0) else { return Ok(()) };
        let old = core::mem::replace(&mut held.settings, *settings);
        held.is_corked = settings.cork;
        if old.with_live_options_of(settings) != *settings {
            return Err("an option that a live connection cannot change".to_owned());
        }
        let Some(id) = held.id else { return Ok(()) };
        // A connection that is gone has no use for these.
        let _ = self.endpoint.set_nodelay(now, id, settings.nodelay);
        let _ = self.endpoint.set_cork(now, id, settings.cork);
        if old.keepalive != settings.keepalive {
            let keepalive = config::keepalive(settings);
            let changed = self.endpoint.set_keepalive(now, id, keepalive);
            changed.map_err(|error| error.to_string())?;
        }
        if let Some(timeout) = settings.user_timeout.filter(|_| old != *settings) {
            let changed = self.endpoint.set_user_timeout(now, id, timeout);
            changed.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        now: Instant,
        conn: ConnIndex,
        limit: usize,
        peek: bool,
    ) -> Result<Vec<u8>, Errno> {
        let id = self.id(conn)?;
        let queued = self.endpoint.info(id).map_or(0, |info| info.recv_queue);
        let mut data = vec![0; limit.min(usize::try_from(queued.max(1)).unwrap_or(limit))];
        let read = if peek {
            self.endpoint.peek(id, &mut data)
        } else {
            self.endpoint.read(now, id, &mut data)
        };
        match read {
            Ok(len) => {
                data.truncate(len);
                Ok(data)
            }
            Err(ReadError::WouldBlock) => Err(Errno::EAGAIN),
            Err(ReadError::Closed(_)) => self.death(conn).map_or(Ok(Vec::new()), Err),
            Err(_) => Err(Errno::ENOTCONN),
        }
    }

    fn write(
        &mut self,
        now: Instant,
        conn: ConnIndex,
        data: &[u8],
        more: bool,
    ) -> Result<usize, Errno> {
        let id = self.id(conn)?;
        if let Some(held) = self.conns.get_mut(conn.0) {
            let corks = more || held.settings.cork;
            if corks != held.is_corked {
                held.is_corked = corks;
                // The handle is good, or the write says so.
                let _ = self.endpoint.set_cork(now, id, corks);
            }
        }
        match self.endpoint.write(now, id, data) {
            Ok(taken) => Ok(taken),
            Err(WriteError::WouldBlock) => Err(Errno::EAGAIN),
            Err(WriteError::UnknownConnection) => Err(Errno::ENOTCONN),
            Err(_) => Err(self.death(conn).unwrap_or(Errno::EPIPE)),
        }
    }

    fn mark_urgent(&mut self, now: Instant, conn: ConnIndex) {
        if let Ok(id) = self.id(conn) {
            // One that is gone has nothing to say.
            let _ = self.endpoint.mark_urgent(now, id);
        }
    }

    fn shutdown_write(&mut self, now: Instant, conn: ConnIndex) -> Result<(), Errno> {
        let id = self.id(conn)?;
        let gone = self.state(conn) == State::Closed;
        self.endpoint.shutdown(now, id).map_err(|_| Errno::ENOTCONN)?;
        if gone { Err(Errno::ENOTCONN) } else { Ok(()) }
    }

    fn close(&mut self, now: Instant, conn: ConnIndex) {
        if let Ok(id) = self.id(conn) {
            // One that is gone is closed.
            let _ = self.endpoint.close(now, id);
        }
    }

    fn abort(&mut self, now: Instant, conn: ConnIndex) {
        if let Ok(id) = self.id(conn) {
            let _ = self.endpoint.abort(now, id);
        }
    }

    fn forget(&mut self, _now: Instant, conn: ConnIndex) {
        if let Some(held) = self.conns.get(conn.0) {
            self.endpoint.forget(held.remote, held.local);
        }
    }

    fn release(&mut self, conn: ConnIndex) {
        if let Some(held) = self.conns.get_mut(conn.0) {
            held.id = None;
        }
    }

    fn state_at(&self, remote: Remote, local: Port) -> State {
        let remote = tou_proto::Remote { addr: remote.udp, port: remote.port };
        held::state(self.endpoint.state_of(remote, local))
    }

    fn state(&self, conn: ConnIndex) -> State {
        let Some((held, info)) = self.held(conn).zip(self.core_info(conn)) else {
            return State::Closed;
        };
        // In TIME-WAIT the handle has only what is left to read: the state goes
        // on with the name, until that is over or a successor's.
        let is_over = info.state == tou_proto::State::TimeWait
            && self.endpoint.state_of(held.remote, held.local) != tou_proto::State::TimeWait;
        if is_over { State::Closed } else { held::state(info.state) }
    }

    fn info(&self, conn: ConnIndex) -> Info {
        let Some((held, info)) = self.held(conn).zip(self.core_info(conn)) else {
            return Info::default();
        };
        held.figures(&info)
    }

    fn figure(&self, conn: ConnIndex, name: &str) -> Option<i64> {
        if name == "urgent_ahead" {
            let ahead = self.endpoint.urgent_ahead(self.held(conn)?.id?);
            return i64::try_from(ahead.unwrap_or_default()).ok();
        }
        held::figure(&self.core_info(conn)?, name)
    }

    fn take_error(&mut self, conn: ConnIndex) -> Option<Errno> {
        self.death(conn)
    }

    fn readable(&self, conn: ConnIndex) -> bool {
        self.core_info(conn).is_none_or(|info| {
            info.recv_queue > 0
                || info.state.is_peer_done()
                || info.state == tou_proto::State::Closed
        })
    }

    fn writable(&self, conn: ConnIndex) -> bool {
        let Some((held, info)) = self.held(conn).zip(self.core_info(conn)) else { return true };
        info.state == tou_proto::State::Closed
            || (info.state.is_synchronized()
                && info.send_queue < u64::from(held.settings.send_buffer))
    }

    fn peer_udp_port(&self, conn: ConnIndex) -> Option<u16> {
        self.held(conn).map(|held| held.remote.addr.port())
    }
}
