//! What users of an endpoint call.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;

use crate::config::{ConfigError, ConnectionConfig, Keepalive, SetOptionError};
use crate::conn::{Connection, State};
use crate::error::{ConnectError, ListenError, ReadError, UnknownConnection, WriteError};
use crate::event::Event;
use crate::id::{ConnId, ListenerId, Port};
use crate::seq::SeqNumber;
use crate::stats::ConnectionInfo;
use crate::time::Instant;

use super::demux::{Key, Target};
use super::isn::begin_above;
use super::listener::Listener;
use super::ports::Use;
use super::slots::Stage;
use super::{Endpoint, Remote, is_peer_address, ports};

impl Endpoint {
    /// Starts listening on a TCP port. At most `backlog` connections (one at
    /// least) wait to be accepted; while they do, further SYNs are dropped, so that
    /// their senders try again. At most as many handshakes are remembered, and the
    /// endpoint's [SYN cache](crate::EndpointConfigBuilder::with_max_syn_cache)
    /// may hold fewer; SYNs beyond that are answered with
    /// [cookies](crate::EndpointConfigBuilder::with_syn_cookies).
    ///
    /// # Errors
    /// [`ListenError::InUse`] if the port has a listener.
    pub fn listen(&mut self, port: Port, backlog: usize) -> Result<ListenerId, ListenError> {
        self.listen_with(port, backlog, None)
    }

    /// The same with a configuration for the accepted connections; `None` takes
    /// the endpoint's.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn listen_with(
        &mut self,
        port: Port,
        backlog: usize,
        config: Option<Arc<ConnectionConfig>>,
    ) -> Result<ListenerId, ListenError> {
        let config = config.unwrap_or_else(|| self.config.fields.connection.clone());
        self.listeners.open(port, backlog, config)
    }

    /// Stops listening. Connections that nobody accepted are reset, and so are
    /// handshakes that are not complete.
    pub fn close_listener(&mut self, now: Instant, listener: ListenerId) {
        let now = self.advance(now);
        self.reset_half_open(now, listener);
        for conn in self.listeners.close(listener) {
            // One that is gone already needs nothing.
            let _ = self.abort(now, conn);
        }
    }

    /// The next established connection of a listener. Nothing is told about it
    /// before it is accepted: try to read and to write, events come for what
    /// would block.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnId> {
        loop {
            let id = self.listeners.get_mut(listener)?.accept()?;
            if let Some(slot) = self.slots.find_mut(id) {
                slot.stage = Stage::User;
                // Being accepted is how its user learns that it is connected.
                slot.conn.forget_connected();
                self.settle(self.now, id.slot);
                return Some(id);
            }
        }
    }

    /// Opens a connection, from an ephemeral port: [`Event::Connected`] or
    /// [`Event::Closed`] follows. What is written meanwhile waits for the
    /// handshake.
    ///
    /// # Errors
    /// What [`ConnectError`] lists.
    pub fn connect(&mut self, now: Instant, remote: Remote) -> Result<ConnId, ConnectError> {
        self.connect_with(now, remote, None, None)
    }

    /// The same from a given port, or with a configuration; `None` takes an
    /// ephemeral port, and the endpoint's configuration. Two endpoints that
    /// connect to each other from given ports open one connection
    /// simultaneously (RFC 9293 §3.5).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with(
        &mut self,
        now: Instant,
        remote: Remote,
        local_port: Option<Port>,
        config: Option<Arc<ConnectionConfig>>,
    ) -> Result<ConnId, ConnectError> {
        let now = self.advance(now);
        let ip = remote.addr.ip();
        if !is_peer_address(remote.addr) {
            return Err(ConnectError::InvalidAddress);
        }
        if self.slots.len() >= self.config.fields.max_connections {
            return Err(ConnectError::TooManyConnections);
        }
        let config = config.unwrap_or_else(|| self.config.fields.connection.clone());
        let local_port = self.choose_port(now, remote, local_port, &config)?;
        let above = self.take_over_time_wait(now, remote, local_port);
        let mut params = self.open_params(now, remote, local_port, config);
        params.isn = begin_above(params.isn, above);
        let peer = self.paths.join(remote.addr, None);
        let key = Key { peer, peer_port: remote.port, local_port };
        let id = self.enter(Connection::connect(now, params), key, ip, Stage::User);
        self.settle(now, id.slot);
        Ok(id)
    }

    fn choose_port(
        &self,
        now: Instant,
        remote: Remote,
        wanted: Option<Port>,
        config: &ConnectionConfig,
    ) -> Result<Port, ConnectError> {
        let peer = self.paths.find(remote.addr);
        let usage = |local_port: Port| {
            let key = peer.map(|peer| Key { peer, peer_port: remote.port, local_port });
            match key.and_then(|key| self.demux.find(&key)) {
                None => Use::Free,
                // Timestamps are what will tell the two connections apart.
                Some(Target::TimeWait(slot))
                    if config.fields.timestamps
                        && self.time_waits.may_reuse(now, slot).is_some() =>
                {
                    Use::Reusable
                }
                Some(_) => Use::Taken,
            }
        };
        match wanted {
            Some(port) if usage(port) == Use::Taken => Err(ConnectError::InUse),
            Some(port) => Ok(port),
            None => {
                let range = self.config.fields.ephemeral_ports;
                let usage = |port| match self.listeners.find(port) {
                    Some(_) => Use::Taken,
                    None => usage(port),
                };
                ports::choose(&self.secret, now, (remote.addr, remote.port), range, usage)
                    .ok_or(ConnectError::NoFreePort)
            }
        }
    }

    /// Ends TIME-WAIT for a new connection with the same names, if there is any;
    /// returns the number that the new one's must begin above.
    fn take_over_time_wait(
        &mut self,
        now: Instant,
        remote: Remote,
        local_port: Port,
    ) -> Option<SeqNumber> {
        let peer = self.paths.find(remote.addr)?;
        let key = Key { peer, peer_port: remote.port, local_port };
        let Some(Target::TimeWait(slot)) = self.demux.find(&key) else { return None };
        let above = self.time_waits.may_reuse(now, slot)?;
        self.forget_time_wait(slot);
        self.counters.time_wait_reused += 1;
        Some(above)
    }

    /// Copies data into the send buffer; returns how much fitted, at least one
    /// byte unless `data` is empty.
    ///
    /// # Errors
    /// [`WriteError::WouldBlock`] when nothing fits now.
    pub fn write(&mut self, now: Instant, conn: ConnId, data: &[u8]) -> Result<usize, WriteError> {
        self.with_writer(now, conn, |conn, now| conn.write(now, data))
    }

    /// The same without copying: takes as much from the front of `data` as fits.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_bytes(
        &mut self,
        now: Instant,
        conn: ConnId,
        data: &mut Bytes,
    ) -> Result<usize, WriteError> {
        self.with_writer(now, conn, |conn, now| conn.write_bytes(now, data))
    }

    /// Marks everything written so far as urgent (RFC 9293 §3.8.5; RFC 6093
    /// advises against its use in new programs).
    ///
    /// # Errors
    /// If the handle names no connection.
    pub fn mark_urgent(&mut self, now: Instant, conn: ConnId) -> Result<(), UnknownConnection> {
        self.with(now, conn, |conn, _| conn.mark_urgent())
    }

    /// Bytes that may be read up to the urgent mark, if there is one ahead.
    #[must_use]
    pub fn urgent_ahead(&self, conn: ConnId) -> Option<u64> {
        self.slots.find(conn)?.conn.urgent_ahead()
    }

    /// Copies received data out. `Ok(0)` for a non-empty `out` is the end of the
    /// stream.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] when there is nothing yet.
    pub fn read(&mut self, now: Instant, conn: ConnId, out: &mut [u8]) -> Result<usize, ReadError> {
        self.with_reader(now, conn, |conn, now| conn.read(now, out))
    }

    /// The next run of received data, at most `max` bytes, without copying;
    /// `Ok(None)` is the end of the stream. For a `max` of zero there is always an empty one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_chunk(
        &mut self,
        now: Instant,
        conn: ConnId,
        max: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        self.with_reader(now, conn, |conn, now| conn.read_chunk(now, max))
    }

    /// Copies received data out and leaves it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn peek(&mut self, conn: ConnId, out: &mut [u8]) -> Result<usize, ReadError> {
        match self.slots.find_mut(conn) {
            Some(slot) => slot.conn.peek(out),
            None => Err(ReadError::UnknownConnection),
        }
    }

    /// Ends the sending direction: a FIN follows what was written. Reading goes
    /// on. Calling it again does nothing.
    ///
    /// # Errors
    /// If the handle names no connection.
    pub fn shutdown(&mut self, now: Instant, conn: ConnId) -> Result<(), UnknownConnection> {
        self.with(now, conn, Connection::shutdown)
    }

    /// RFC 9293's CLOSE (§3.10.4): as [`shutdown`](Self::shutdown), and the
    /// handle is given up. What was received and not read, or arrives later, is
    /// answered with a reset (§3.6.1, SHLD-3).
    ///
    /// # Errors
    /// If the handle names no connection.
    pub fn close(&mut self, now: Instant, conn: ConnId) -> Result<(), UnknownConnection> {
        self.give_up(now, conn, Connection::close)
    }

    /// Gives the handle up gracefully: what was written, and a FIN, still
    /// arrive; unread and later input is discarded; only what arrives after our
    /// FIN was acknowledged is answered with a reset. What dropping a stream
    /// should mean. No event of this handle comes any more.
    ///
    /// # Errors
    /// If the handle names no connection.
    #[doc(alias = "drop")]
    pub fn release(&mut self, now: Instant, conn: ConnId) -> Result<(), UnknownConnection> {
        self.give_up(now, conn, Connection::release)
    }

    /// RFC 9293's ABORT (§3.10.5): resets the connection and gives the handle
    /// up.
    ///
    /// # Errors
    /// If the handle names no connection.
    pub fn abort(&mut self, now: Instant, conn: ConnId) -> Result<(), UnknownConnection> {
        self.give_up(now, conn, |conn, _| conn.abort())
    }

    /// Switches Nagle's algorithm (RFC 9293 §3.7.4) off or on.
    ///
    /// # Errors
    /// If the handle names no connection.
    pub fn set_nodelay(
        &mut self,
        now: Instant,
        conn: ConnId,
        nodelay: bool,
    ) -> Result<(), UnknownConnection> {
        self.with(now, conn, |conn, now| conn.set_nodelay(now, nodelay))
    }

    /// While corked only full segments are sent, or what has waited 200 ms.
    ///
    /// # Errors
    /// If the handle names no connection.
    pub fn set_cork(
        &mut self,
        now: Instant,
        conn: ConnId,
        cork: bool,
    ) -> Result<(), UnknownConnection> {
        self.with(now, conn, |conn, now| conn.set_cork(now, cork))
    }

    /// Changes when and how often the idle peer is asked whether it is there.
    ///
    /// # Errors
    /// If the handle names no connection, or the value is none that a
    /// configuration takes.
    pub fn set_keepalive(
        &mut self,
        now: Instant,
        conn: ConnId,
        keepalive: Option<Keepalive>,
    ) -> Result<(), SetOptionError> {
        self.set(now, conn, |conn| conn.set_keepalive(keepalive))
    }

    /// Changes how long data may stay unacknowledged.
    ///
    /// # Errors
    /// If the handle names no connection, or the value is none that a
    /// configuration takes.
    pub fn set_user_timeout(
        &mut self,
        now: Instant,
        conn: ConnId,
        timeout: Duration,
    ) -> Result<(), SetOptionError> {
        self.set(now, conn, |conn| conn.set_user_timeout(timeout))
    }

    fn set(
        &mut self,
        now: Instant,
        conn: ConnId,
        setter: impl FnOnce(&mut Connection) -> Result<(), ConfigError>,
    ) -> Result<(), SetOptionError> {
        let result = self.with(now, conn, |conn, _| setter(conn));
        result.map_err(|_| SetOptionError::UnknownConnection)?.map_err(SetOptionError::Config)
    }

    /// A snapshot of the connection.
    #[must_use]
    pub fn info(&self, conn: ConnId) -> Option<ConnectionInfo> {
        self.slots.find(conn).map(|slot| slot.conn.info())
    }

    /// The connection's peer, and this side's TCP port.
    #[must_use]
    #[doc(alias = "peer_addr")]
    #[doc(alias = "remote_addr")]
    pub fn addresses(&self, conn: ConnId) -> Option<(Remote, Port)> {
        let slot = self.slots.find(conn)?;
        let addr = self.paths.get(slot.peer)?.addr;
        Some((Remote { addr, port: slot.peer_port }, slot.local_port))
    }

    /// How many connections of a listener are being opened, and how many wait to
    /// be accepted.
    #[must_use]
    pub fn backlog(&self, listener: ListenerId) -> Option<(usize, usize)> {
        self.listeners.get(listener).map(Listener::backlog)
    }

    /// The state of whatever has this name now: a connection, held or not, a
    /// handshake that is not complete, what remains of a connection in TIME-WAIT,
    /// or a listener.
    #[must_use]
    pub fn state_of(&self, remote: Remote, local_port: Port) -> State {
        let target = self
            .paths
            .find(remote.addr)
            .and_then(|peer| self.demux.find(&Key { peer, peer_port: remote.port, local_port }));
        match target {
            Some(Target::Connection(slot)) => {
                self.slots.get(slot).map_or(State::Closed, |slot| slot.conn.state())
            }
            Some(Target::HalfOpen(_)) => State::SynReceived,
            Some(Target::TimeWait(_)) => State::TimeWait,
            None if self.listeners.find(local_port).is_some() => State::Listen,
            None => State::Closed,
        }
    }

    /// Forgets what remains of a connection in TIME-WAIT, so that its name can be
    /// used at once; returns whether there was something. Old duplicates may then
    /// disturb a new connection (RFC 9293 §3.4.2): for tests and administrators.
    pub fn forget(&mut self, remote: Remote, local_port: Port) -> bool {
        let target = self
            .paths
            .find(remote.addr)
            .and_then(|peer| self.demux.find(&Key { peer, peer_port: remote.port, local_port }));
        let Some(Target::TimeWait(slot)) = target else { return false };
        self.forget_time_wait(slot);
        true
    }

    /// The next event. Of one connection [`Event::Readable`] comes before
    /// [`Event::Closed`], which is the last.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            match self.events.pop(&mut self.slots)? {
                // The listener was closed meanwhile.
                Event::Incoming(id) if self.listeners.get(id).is_none() => {}
                event => return Some(event),
            }
        }
    }

    /// Whether a datagram that came from `peer` is for this endpoint, for those
    /// who share a socket with other protocols: it parses as a segment, and its
    /// ports are those of a connection with that peer, or it is a SYN to a port
    /// that is listened on, or an acknowledgment that may bring a cookie back.
    #[must_use]
    pub fn accepts(&self, peer: SocketAddr, datagram: &[u8]) -> bool {
        use crate::wire::{SegmentFlags, SegmentHeader};
        let Ok(parsed) = SegmentHeader::parse(datagram, self.config.fields.checksum) else {
            return false;
        };
        let header = &parsed.header;
        let is_known = self.paths.find(peer).is_some_and(|peer| {
            let (peer_port, local_port) = (header.src_port, header.dst_port);
            self.demux.find(&Key { peer, peer_port, local_port }).is_some()
        });
        let has = |flag| header.flags.contains(flag);
        let may_begin = match (has(SegmentFlags::SYN), has(SegmentFlags::ACK)) {
            (true, false) => true,
            (false, true) => self.are_cookies_out(self.now),
            _ => false,
        };
        let is_begin = may_begin && !has(SegmentFlags::RST);
        is_known || (is_begin && self.listeners.find(header.dst_port).is_some())
    }

    /// Runs a writing verb. All it can bring about is something to send, so that the
    /// connection is settled when its turn to send comes; but for its deadline, if
    /// somebody asks for that before.
    fn with_writer(
        &mut self,
        now: Instant,
        id: ConnId,
        verb: impl FnOnce(&mut Connection, Instant) -> Result<usize, WriteError>,
    ) -> Result<usize, WriteError> {
        let now = self.advance(now);
        let slot = self.slots.find_mut(id).ok_or(WriteError::UnknownConnection)?;
        let written = self.memory.lend(&mut slot.conn, |conn| verb(conn, now))?;
        self.memory.recharge(&mut slot.charged, slot.conn.charge());
        if !slot.is_ready {
            self.stand_in_line(id);
        }
        if self.unsettled != Some(id.slot) {
            self.settle_deadline();
            self.unsettled = Some(id.slot);
        }
        Ok(written)
    }

    /// Runs a reading verb. The only thing that reading may bring about is an
    /// acknowledgment with a larger window.
    fn with_reader<T>(
        &mut self,
        now: Instant,
        id: ConnId,
        verb: impl FnOnce(&mut Connection, Instant) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let now = self.advance(now);
        let slot = self.slots.find_mut(id).ok_or(ReadError::UnknownConnection)?;
        if slot.conn.unread() == 0 {
            // Nothing is taken, and nothing comes of it.
            return verb(&mut slot.conn, now);
        }
        slot.conn.set_arrival_share(self.arrivals.share(now));
        let result = self.memory.lend(&mut slot.conn, |conn| verb(conn, now));
        if slot.conn.is_ack_due() && !slot.is_ready {
            self.settle(now, id.slot);
        } else if result.is_ok() {
            self.memory.recharge(&mut slot.charged, slot.conn.charge());
        }
        result
    }

    /// Runs `verb`, after which the handle names nothing.
    fn give_up(
        &mut self,
        now: Instant,
        id: ConnId,
        verb: impl FnOnce(&mut Connection, Instant),
    ) -> Result<(), UnknownConnection> {
        let now = self.advance(now);
        let slot = self.slots.find_mut(id).ok_or(UnknownConnection)?;
        slot.stage = Stage::Orphan;
        verb(&mut slot.conn, now);
        let is_announced = core::mem::take(&mut slot.is_announced);
        self.events.forget(is_announced, &self.slots);
        self.settle(now, id.slot);
        Ok(())
    }

    /// Runs `verb` on the user's connection `id`, then settles it.
    fn with<T>(
        &mut self,
        now: Instant,
        id: ConnId,
        verb: impl FnOnce(&mut Connection, Instant) -> T,
    ) -> Result<T, UnknownConnection> {
        let now = self.advance(now);
        let slot = self.slots.find_mut(id).ok_or(UnknownConnection)?;
        slot.conn.set_free_memory(self.memory.free());
        slot.conn.set_arrival_share(self.arrivals.share(now));
        let result = verb(&mut slot.conn, now);
        self.settle(now, id.slot);
        Ok(result)
    }
}
