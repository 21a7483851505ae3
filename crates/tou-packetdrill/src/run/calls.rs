//! System calls, performed on the stack.

use core::time::Duration;

use tou_proto::Port;

use super::mapping::Mapping;
use super::options::{self, Set};
use super::runner::{Runner, Stop};
use super::sockets::{Kind, Socket};
use super::stack::{Remote, Stack, State};
use crate::ast::{Call, Expr};
use crate::value::{Errno, constant, number};

/// What a call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// A value.
    Value(i64),
    /// An error.
    Error(Errno),
    /// Nothing yet: it blocks.
    Blocks,
}

/// The octet at a place of a stream: the same whoever asks, and unlike its
/// neighbours, so that a shifted or swapped octet shows.
pub(super) fn octet(place: u64) -> u8 {
    let mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[0]
}

/// The local port that `bind` gives when the script does not care, and that a
/// connection goes to: packetdrill's.
pub(super) const SERVER_PORT: u16 = 8080;

impl<S: Stack> Runner<S> {
    /// Performs `call`, or finds that it blocks.
    pub(super) fn perform(&mut self, call: &Call) -> Result<Returned, Stop> {
        let result = match call.name.as_str() {
            "socket" => self.socket(call),
            "bind" => self.bind(call),
            "listen" => self.listen(call),
            "accept" | "accept4" => self.accept(call),
            "connect" => self.connect(call),
            "read" | "recv" | "recvfrom" => self.receive(call),
            "write" | "send" | "sendto" => self.send(call),
            "shutdown" => self.shutdown(call),
            "close" => self.close(call),
            "fcntl" => self.fcntl(call),
            "setsockopt" => self.setsockopt(call),
            "getsockopt" => self.getsockopt(call),
            "poll" => self.poll(call),
            name => return Err(Stop::Skip(format!("call {name}"))),
        };
        self.world.drain().map_err(Stop::misbehaviour)?;
        result
    }

    fn socket(&mut self, call: &Call) -> Result<Returned, Stop> {
        for word in call.args.iter().skip(1) {
            if let Expr::Word(word) = word
                && !["SOCK_STREAM", "IPPROTO_TCP", "0"].contains(&word.as_str())
            {
                return Err(Stop::Skip(format!("socket of {word}")));
            }
        }
        let fd = self.expected_value(call)?;
        self.sockets.insert(fd, Socket::new(Kind::Fresh, self.settings)).map_err(Stop::Skip)?;
        Ok(Returned::Value(fd))
    }

    fn bind(&mut self, call: &Call) -> Result<Returned, Stop> {
        let port = match call.args.get(1) {
            Some(Expr::Ellipsis) | None => SERVER_PORT,
            Some(other) => return Err(Stop::Skip(format!("bind to {other}"))),
        };
        let Some(socket) = self.socket_of(call)? else { return Ok(Returned::Error(Errno::EBADF)) };
        socket.port = Some(port);
        Ok(Returned::Value(0))
    }

    fn listen(&mut self, call: &Call) -> Result<Returned, Stop> {
        let backlog = usize::try_from(self.argument(call, 1)?).unwrap_or_default();
        let now = self.world.now();
        let fd = self.argument(call, 0)?;
        let Some(socket) = self.sockets.get_mut(fd) else {
            return Ok(Returned::Error(Errno::EBADF));
        };
        if !matches!(socket.kind, Kind::Fresh) {
            return Ok(Returned::Error(Errno::EINVAL));
        }
        let port = *socket.port.get_or_insert(SERVER_PORT);
        let Some(port) = Port::new(port) else { return Ok(Returned::Error(Errno::EINVAL)) };
        match self.world.stack.listen(now, port, backlog, &socket.settings) {
            Ok(listener) => {
                socket.kind = Kind::Listening(listener);
                Ok(Returned::Value(0))
            }
            Err(errno) => Ok(Returned::Error(errno)),
        }
    }

    fn accept(&mut self, call: &Call) -> Result<Returned, Stop> {
        let now = self.world.now();
        let fd = self.argument(call, 0)?;
        let Some(socket) = self.sockets.get(fd) else { return Ok(Returned::Error(Errno::EBADF)) };
        let Kind::Listening(listener) = socket.kind else {
            return Ok(Returned::Error(Errno::EINVAL));
        };
        let (nonblocking, settings, port) = (socket.nonblocking, socket.settings, socket.port);
        let Some(conn) = self.world.stack.accept(now, listener) else {
            return Ok(again(nonblocking));
        };
        self.answered += 1;
        let fd = self.expected_value(call)?;
        let mut socket = Socket::new(Kind::Conn(conn), settings);
        // On FreeBSD the new socket takes O_NONBLOCK from its listener.
        socket.nonblocking = nonblocking && self.dialect == crate::value::Dialect::FreeBsd;
        socket.port = port;
        socket.udp_port = self.tunnelled_port(conn);
        self.sockets.insert(fd, socket).map_err(Stop::Skip)?;
        Ok(Returned::Value(fd))
    }

    /// The UDP port of the peer, zero for one that the script thinks plain.
    fn tunnelled_port(&self, conn: S::Conn) -> u16 {
        let port = self.world.stack.peer_udp_port(conn).unwrap_or_default();
        if port == self.flow.remote { 0 } else { port }
    }

    fn connect(&mut self, call: &Call) -> Result<Returned, Stop> {
        let now = self.world.now();
        let fd = self.argument(call, 0)?;
        let Some(socket) = self.sockets.get(fd) else { return Ok(Returned::Error(Errno::EBADF)) };
        if let Some(conn) = socket.conn() {
            return Ok(self.connect_again(fd, conn));
        }
        if !matches!(call.args.get(1), Some(Expr::Ellipsis) | None) {
            return Err(Stop::Skip(format!("connect to {}", call.args[1])));
        }
        let (settings, udp_port) = (socket.settings, socket.udp_port);
        let local = socket.port.unwrap_or_else(|| self.next_port());
        self.flow = super::runner::Flow { local, remote: SERVER_PORT };
        self.mappings.insert(self.flow, Mapping::default());
        let udp = self.peer_address(if udp_port == 0 { SERVER_PORT } else { udp_port });
        let (Some(port), Some(local)) = (Port::new(SERVER_PORT), Port::new(local)) else {
            return Ok(Returned::Error(Errno::EADDRNOTAVAIL));
        };
        let conn = self.world.stack.connect(now, Remote { udp, port }, local, &settings);
        self.sockets.last = Some(fd);
        let Some(socket) = self.sockets.get_mut(fd) else {
            return Ok(Returned::Error(Errno::EBADF));
        };
        match conn {
            Ok(conn) => {
                socket.kind = Kind::Conn(conn);
                socket.port = Some(local.get());
                socket.connecting = true;
                if socket.nonblocking {
                    return Ok(Returned::Error(Errno::EINPROGRESS));
                }
                Ok(Returned::Blocks)
            }
            Err(errno) => Ok(Returned::Error(errno)),
        }
    }

    /// `connect` on a socket that has a connection: how far it is.
    fn connect_again(&mut self, fd: i64, conn: S::Conn) -> Returned {
        let state = self.world.stack.state(conn);
        let error = match state {
            State::Closed => self.world.stack.take_error(conn),
            _ => None,
        };
        let Some(socket) = self.sockets.get_mut(fd) else { return Returned::Error(Errno::EBADF) };
        let first = core::mem::replace(&mut socket.connecting, !state.is_synchronized());
        match state {
            State::Closed => Returned::Error(error.unwrap_or(Errno::ECONNABORTED)),
            _ if state.is_synchronized() && first => Returned::Value(0),
            _ if state.is_synchronized() => Returned::Error(Errno::EISCONN),
            _ if socket.nonblocking => Returned::Error(Errno::EALREADY),
            _ => Returned::Blocks,
        }
    }

    fn receive(&mut self, call: &Call) -> Result<Returned, Stop> {
        let limit = usize::try_from(self.argument(call, 2)?).unwrap_or_default();
        let flags = if call.name == "read" { 0 } else { self.argument(call, 3)? };
        let peek = self.flag(&mut { flags }, "MSG_PEEK");
        let mut left = flags;
        for known in ["MSG_PEEK", "MSG_DONTWAIT", "MSG_NOSIGNAL"] {
            self.flag(&mut left, known);
        }
        if left != 0 {
            return Err(Stop::Skip(format!("{} with flags {}", call.name, call.args[3])));
        }
        let now = self.world.now();
        let fd = self.argument(call, 0)?;
        let Some(socket) = self.sockets.get_mut(fd) else {
            return Ok(Returned::Error(Errno::EBADF));
        };
        let Some(conn) = socket.conn() else { return Ok(Returned::Error(Errno::ENOTCONN)) };
        let waits = !socket.nonblocking && !self.flag(&mut { flags }, "MSG_DONTWAIT");
        self.answered += 1;
        match self.world.stack.read(now, conn, limit, peek) {
            Ok(data) => self.received(fd, &data, peek),
            Err(Errno::EAGAIN) => Ok(again(!waits)),
            Err(errno) => Ok(Returned::Error(errno)),
        }
    }

    /// What was read must be what arrived, octet by octet.
    fn received(&mut self, fd: i64, data: &[u8], peek: bool) -> Result<Returned, Stop> {
        let Some(socket) = self.sockets.get_mut(fd) else {
            return Ok(Returned::Error(Errno::EBADF));
        };
        let start = socket.read;
        if let Some(at) = (start..).zip(data).find(|(place, seen)| octet(*place) != **seen) {
            return Err(Stop::Fail(format!("octet {} of the stream is not what arrived", at.0)));
        }
        if !peek {
            socket.read += data.len() as u64;
        }
        Ok(Returned::Value(i64::try_from(data.len()).unwrap_or(i64::MAX)))
    }

    fn send(&mut self, call: &Call) -> Result<Returned, Stop> {
        if call.args.get(1) != Some(&Expr::Ellipsis) {
            return Err(Stop::Skip(format!("{} from {}", call.name, call.args[1])));
        }
        let len = usize::try_from(self.argument(call, 2)?).unwrap_or_default();
        let flags = if call.name == "write" { 0 } else { self.argument(call, 3)? };
        let mut left = flags;
        let more = self.flag(&mut left, "MSG_MORE");
        let urgent = self.flag(&mut left, "MSG_OOB");
        let waits = !self.flag(&mut left, "MSG_DONTWAIT");
        self.flag(&mut left, "MSG_NOSIGNAL");
        if left != 0 {
            return Err(Stop::Skip(format!("{} with flags {}", call.name, call.args[3])));
        }
        let now = self.world.now();
        let fd = self.argument(call, 0)?;
        let Some(socket) = self.sockets.get_mut(fd) else {
            return Ok(Returned::Error(Errno::EBADF));
        };
        let Some(conn) = socket.conn() else { return Ok(Returned::Error(Errno::ENOTCONN)) };
        let data: Vec<u8> = (socket.written..).take(len).map(octet).collect();
        self.answered += 1;
        match self.world.stack.write(now, conn, &data, more) {
            Ok(taken) => {
                socket.written += taken as u64;
                if urgent {
                    self.world.stack.mark_urgent(now, conn);
                }
                Ok(Returned::Value(i64::try_from(taken).unwrap_or(i64::MAX)))
            }
            Err(Errno::EAGAIN) => Ok(again(socket.nonblocking || !waits)),
            Err(errno) => Ok(Returned::Error(errno)),
        }
    }

    fn shutdown(&mut self, call: &Call) -> Result<Returned, Stop> {
        let how = self.argument(call, 1)?;
        let now = self.world.now();
        let Some(socket) = self.socket_of(call)? else { return Ok(Returned::Error(Errno::EBADF)) };
        let Some(conn) = socket.conn() else { return Ok(Returned::Error(Errno::ENOTCONN)) };
        let result = match how {
            1 => self.world.stack.shutdown_write(now, conn),
            // RFC 9293 closes one direction only: the one that sends.
            0 | 2 => return Err(Stop::Skip("shutdown of reading".to_owned())),
            _ => Err(Errno::EINVAL),
        };
        Ok(result.map_or_else(Returned::Error, |()| Returned::Value(0)))
    }

    fn close(&mut self, call: &Call) -> Result<Returned, Stop> {
        let now = self.world.now();
        let fd = self.argument(call, 0)?;
        let Some(socket) = self.sockets.remove(fd) else {
            return Ok(Returned::Error(Errno::EBADF));
        };
        match socket.kind {
            Kind::Fresh => {}
            Kind::Listening(listener) => self.world.stack.unlisten(now, listener),
            Kind::Conn(conn) if socket.settings.linger == Some(Duration::ZERO) => {
                self.world.stack.abort(now, conn);
                self.world.stack.release(conn);
            }
            Kind::Conn(conn) => {
                self.world.stack.close(now, conn);
                self.world.stack.release(conn);
            }
        }
        Ok(Returned::Value(0))
    }

    fn fcntl(&mut self, call: &Call) -> Result<Returned, Stop> {
        let nonblock = constant("O_NONBLOCK", self.dialect).unwrap_or_default();
        let value = match call.args.get(2) {
            Some(_) => self.argument(call, 2)?,
            None => 0,
        };
        let command = call.args.get(1).cloned();
        let Some(socket) = self.socket_of(call)? else { return Ok(Returned::Error(Errno::EBADF)) };
        match command {
            Some(Expr::Word(word)) if word == "F_GETFL" => {
                Ok(Returned::Value(2 | if socket.nonblocking { nonblock } else { 0 }))
            }
            Some(Expr::Word(word)) if word == "F_SETFL" => {
                socket.nonblocking = value & nonblock != 0;
                Ok(Returned::Value(0))
            }
            other => Err(Stop::Skip(format!("fcntl {other:?}"))),
        }
    }

    fn setsockopt(&mut self, call: &Call) -> Result<Returned, Stop> {
        let (level, name) = option_name(call)?;
        let value = match call.args.get(3) {
            Some(Expr::Struct(fields)) if name == "SO_LINGER" => return self.linger(call, fields),
            Some(Expr::Struct(_)) if name == "TCP_FUNCTION_BLK" => 0,
            Some(_) => self.argument(call, 3)?,
            None => return Err(Stop::Skip(format!("call {call}"))),
        };
        let (now, tunnel) = (self.world.now(), self.tunnel_port);
        let Some(socket) = self.socket_of(call)? else { return Ok(Returned::Error(Errno::EBADF)) };
        let before = socket.settings;
        match options::set(socket, (level, name), value, tunnel).map_err(Stop::Skip)? {
            Set::Failed(errno) => return Ok(Returned::Error(errno)),
            Set::Done => {}
        }
        let (conn, settings) = (socket.conn(), socket.settings);
        if matches!(socket.kind, Kind::Listening(_)) && settings != before {
            return Err(Stop::Skip(format!("an option of a listener: {name}")));
        }
        if let Some(conn) = conn {
            let changed = self.world.stack.reconfigure(now, conn, &settings);
            changed.map_err(|text| Stop::Skip(format!("{text}: {name}")))?;
        }
        Ok(Returned::Value(0))
    }

    /// `{onoff=1, linger=0}`
    fn linger(&mut self, call: &Call, fields: &[Expr]) -> Result<Returned, Stop> {
        let field = |wanted: &str| {
            fields.iter().find_map(|field| match field {
                Expr::Field(name, value) if **name == Expr::Word(wanted.to_owned()) => {
                    number(value, self.dialect).ok()
                }
                _ => None,
            })
        };
        let (Some(on), Some(seconds)) = (field("onoff"), field("linger")) else {
            return Err(Stop::Skip(format!("call {call}")));
        };
        let time = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let Some(socket) = self.socket_of(call)? else { return Ok(Returned::Error(Errno::EBADF)) };
        socket.settings.linger = (on != 0).then_some(time);
        Ok(Returned::Value(0))
    }

    fn getsockopt(&mut self, call: &Call) -> Result<Returned, Stop> {
        let (level, name) = option_name(call)?;
        let fd = self.argument(call, 0)?;
        let Some(socket) = self.sockets.get(fd) else { return Ok(Returned::Error(Errno::EBADF)) };
        let seen = match (level, name, socket.conn()) {
            ("SOL_SOCKET", "SO_ERROR", None) => 0,
            ("SOL_SOCKET", "SO_ERROR", Some(conn)) => {
                self.answered += 1;
                let error = self.world.stack.take_error(conn);
                error.map_or(0, |errno| errno.number(self.dialect))
            }
            (_, _, conn) => {
                let info = conn.map(|conn| self.world.stack.info(conn));
                options::get(socket, (level, name), info).map_err(Stop::Skip)?
            }
        };
        let home = name == "SO_RCVBUF" || name == "SO_SNDBUF";
        if home && !self.is_strict() {
            // How a system rounds its buffers is its own affair.
            return Ok(Returned::Value(0));
        }
        match call.args.get(3) {
            Some(Expr::Ellipsis) | None => Ok(Returned::Value(0)),
            Some(wanted) => {
                let wanted_number = number(wanted, self.dialect).map_err(Stop::Skip)?;
                if wanted_number != seen {
                    return Err(Stop::Fail(format!("{name} is {seen}, not {wanted}")));
                }
                Ok(Returned::Value(0))
            }
        }
    }

    /// `poll([{fd=3, events=POLLIN, revents=POLLIN}], 1, timeout)`
    fn poll(&mut self, call: &Call) -> Result<Returned, Stop> {
        let unsupported = || Stop::Skip(format!("call {call}"));
        let Some(Expr::Array(entries)) = call.args.first() else { return Err(unsupported()) };
        let mut ready = 0;
        for entry in entries {
            let Expr::Struct(fields) = entry else { return Err(unsupported()) };
            let field = |wanted: &str| {
                fields.iter().find_map(|field| match field {
                    Expr::Field(name, value) if **name == Expr::Word(wanted.to_owned()) => {
                        Some(number(value, self.dialect))
                    }
                    _ => None,
                })
            };
            let fd = field("fd").ok_or_else(unsupported)?.map_err(Stop::Skip)?;
            let events = field("events").ok_or_else(unsupported)?.map_err(Stop::Skip)?;
            let wanted = field("revents").unwrap_or(Ok(0)).map_err(Stop::Skip)?;
            let seen = self.poll_events(fd, events);
            if seen != wanted {
                return Err(Stop::Fail(format!("revents of {fd} is {seen:#x}, not {wanted:#x}")));
            }
            ready += i64::from(seen != 0);
        }
        Ok(Returned::Value(ready))
    }

    /// What `poll` reports of a socket when asked for `events`.
    fn poll_events(&self, fd: i64, events: i64) -> i64 {
        let bit = |name: &str| constant(name, self.dialect).unwrap_or_default();
        let Some(socket) = self.sockets.get(fd) else { return bit("POLLNVAL") };
        let Some(conn) = socket.conn() else { return 0 };
        let stack = &self.world.stack;
        let mut seen = 0;
        if stack.readable(conn) {
            seen |= bit("POLLIN");
        }
        if stack.writable(conn) {
            seen |= bit("POLLOUT");
        }
        let mut always = 0;
        if stack.state(conn) == State::Closed {
            always = bit("POLLHUP");
        }
        seen & events | always
    }

    /// The socket that a call's first argument names.
    fn socket_of(&mut self, call: &Call) -> Result<Option<&mut Socket<S>>, Stop> {
        let fd = self.argument(call, 0)?;
        Ok(self.sockets.get_mut(fd))
    }

    /// A call's argument as a number.
    fn argument(&self, call: &Call, index: usize) -> Result<i64, Stop> {
        let arg = call.args.get(index).ok_or_else(|| Stop::Skip(format!("call {call}")))?;
        number(arg, self.dialect).map_err(Stop::Skip)
    }

    /// The number that the script gives to a new descriptor.
    fn expected_value(&self, call: &Call) -> Result<i64, Stop> {
        let value = call.outcome.value.as_ref();
        let value = value.ok_or_else(|| Stop::Skip(format!("call {call}")))?;
        match number(value, self.dialect).map_err(Stop::Skip)? {
            fd if fd >= 0 => Ok(fd),
            _ => Err(Stop::Fail(format!("{} succeeds", call.name))),
        }
    }

    /// Whether the flag `name` is in `flags`; takes it out.
    fn flag(&self, flags: &mut i64, name: &str) -> bool {
        let bit = constant(name, self.dialect).unwrap_or_default();
        let here = *flags & bit != 0;
        *flags &= !bit;
        here
    }
}

fn again(nonblocking: bool) -> Returned {
    if nonblocking { Returned::Error(Errno::EAGAIN) } else { Returned::Blocks }
}

/// Level and name of the option in a `setsockopt` or `getsockopt`.
fn option_name(call: &Call) -> Result<(&str, &str), Stop> {
    match (call.args.get(1), call.args.get(2)) {
        (Some(Expr::Word(level)), Some(Expr::Word(name))) => Ok((level, name)),
        _ => Err(Stop::Skip(format!("call {call}"))),
    }
}
