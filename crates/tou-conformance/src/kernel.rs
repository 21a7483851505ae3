//! The kernel's own TCP as a driver, to try the cases themselves: what they
//! say that `std::net` does, it does. What only tou has it cannot be asked.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tou_proto::{ConnectionInfo, EndpointCounters, Keepalive, Port, Remote};
use tou_udp::{Direction, Impairment, ImpairmentStats};

use crate::driver::{Connect, Driver, Listener, Setup, Socket, Stream};

/// The cases it passes. Others need what it has not, or are where tou means to
/// differ: a drop with unread data is graceful, buffered data ends with a
/// shutdown of reading, nothing can be read into no buffer at once, no address
/// stands for this host.
pub(crate) const ASKED: &[&str] = &[
    "backpressure::a_reader_of_single_octets_gets_all",
    "backpressure::a_reader_wakes_the_writer",
    "backpressure::a_stalled_stream_holds_up_no_other",
    "backpressure::all_that_was_taken_arrives",
    "backpressure::both_may_stall_at_once",
    "backpressure::small_buffers_carry_much",
    "closing::a_clone_keeps_the_stream_open",
    "closing::a_drop_does_not_wait_while_its_socket_lives",
    "closing::a_dropped_stream_delivers_everything",
    "shutdown::a_half_closed_stream_is_answered",
    "shutdown::a_shutdown_of_both_ends_both",
    "shutdown::the_end_stays_the_end",
    "shutdown::writing_after_a_shutdown_is_a_broken_pipe",
    "connecting::a_connect_timeout_of_zero_is_refused",
    "connecting::accepted_streams_outlive_their_listener",
    "connecting::each_acceptor_gets_one",
    "connecting::without_a_route_nobody_waits",
    "data::a_peek_takes_nothing",
    "data::a_peek_waits",
    "data::an_echo_comes_back",
    "data::chunks_and_copies_mix",
    "data::chunks_come_in_order",
    "data::chunks_go_in_parts",
    "data::empty_vectors_are_nothing",
    "data::flushing_does_not_wait",
    "data::many_small_writes_are_one_stream",
    "data::much_goes_both_ways_at_once",
    "data::vectored_reads_fill_in_order",
    "data::vectored_writes_join",
    "errors::a_healthy_stream_has_no_error",
    "errors::writing_to_a_gone_peer_fails",
    "families::a_dual_stack_socket_reaches_both",
    "families::a_scope_means_nothing_but_on_a_link",
    "families::ipv6_carries_data",
    "handles::one_reads_while_another_writes",
    "handles::readers_share_the_data",
    "handles::what_one_shuts_down_is_shut_for_all",
    "handles::writers_share_the_stream",
    "many::clients_are_served_at_once",
    "names::a_bound_port_is_told",
    "names::an_accepted_peer_is_named",
    "names::the_ends_know_each_other",
    "options::a_timeout_of_zero_is_refused",
    "options::accepted_streams_have_defaults",
    "options::timeouts_are_as_they_were_set",
    "options::without_delay_small_writes_leave",
    "timeouts::a_peek_times_out",
    "timeouts::a_read_times_out",
    "timeouts::a_timed_out_read_loses_nothing",
    "timeouts::a_timed_out_write_loses_nothing",
    "timeouts::a_very_long_timeout_waits_too",
    "timeouts::each_direction_has_its_own_timeout",
    "timeouts::no_timeout_waits",
    "timeouts::what_is_there_is_read_at_once",
];

#[derive(Debug)]
pub(crate) struct Kernel;

fn port(addr: io::Result<SocketAddr>) -> Port {
    Port::new(addr.unwrap().port()).unwrap()
}

/// What the kernel, or std, has not.
fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Driver for Kernel {
    type Socket = Arc<TcpListener>;
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn bind(&self, addr: SocketAddr, setup: &Setup) -> io::Result<Arc<TcpListener>> {
        if setup.impairment.is_some() || setup.endpoint.is_some() {
            return unsupported();
        }
        TcpListener::bind(addr).map(Arc::new)
    }

    fn adopt(&self, _: UdpSocket, _: &Setup) -> io::Result<Arc<TcpListener>> {
        unsupported()
    }

    fn listen(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::bind(addr)
    }

    fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(addr)
    }

    fn connect_timeout(&self, addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        TcpStream::connect_timeout(&addr, timeout)
    }
}

impl Socket for Arc<TcpListener> {
    type Listener = TcpListener;
    type Stream = TcpStream;

    fn local_addr(&self) -> SocketAddr {
        TcpListener::local_addr(self).unwrap()
    }

    fn listen(&self) -> io::Result<TcpListener> {
        TcpListener::try_clone(self)
    }

    fn listen_on(&self, _: Port, _: usize) -> io::Result<TcpListener> {
        unsupported()
    }

    fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(addr)
    }

    fn connect_with(&self, _: Remote, _: &Connect) -> io::Result<TcpStream> {
        unsupported()
    }

    fn close(&self, _: Duration) -> io::Result<()> {
        unsupported()
    }

    fn impair(&self, _: Direction, _: &Impairment) -> io::Result<()> {
        unsupported()
    }

    fn impairment_stats(&self, _: Direction) -> Option<ImpairmentStats> {
        None
    }

    fn counters(&self) -> EndpointCounters {
        EndpointCounters::default()
    }

    fn connection_count(&self) -> usize {
        0
    }

    fn time_wait_count(&self) -> usize {
        0
    }
}

impl Listener for TcpListener {
    type Socket = Arc<Self>;
    type Stream = TcpStream;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn local_port(&self) -> Port {
        port(self.local_addr())
    }

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept()
    }

    /// It waits for ever; the runner looks after it.
    fn set_accept_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(())
    }

    fn try_clone(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn socket(&self) -> Arc<Self> {
        Arc::new(self.try_clone().unwrap())
    }
}

impl Stream for TcpStream {
    type Socket = Arc<TcpListener>;

    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &*self, buf)
    }

    fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        Read::read_vectored(&mut &*self, bufs)
    }

    fn read_chunk(&self, max: usize) -> io::Result<Option<Bytes>> {
        let mut data = vec![0; max];
        let len = Stream::read(self, &mut data)?;
        data.truncate(len);
        Ok(Some(Bytes::from(data)).filter(|data| !data.is_empty()))
    }

    fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.peek(buf)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, data)
    }

    fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Write::write_vectored(&mut &*self, bufs)
    }

    fn write_bytes(&self, data: &mut Bytes) -> io::Result<usize> {
        let len = Stream::write(self, data)?;
        data.advance(len);
        Ok(len)
    }

    fn flush(&self) -> io::Result<()> {
        Write::flush(&mut &*self)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }

    fn abort(&self) {
        // The cases that pass use it only to be done.
    }

    fn try_clone(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn peer_port(&self) -> Port {
        port(self.peer_addr())
    }

    fn local_port(&self) -> Port {
        port(self.local_addr())
    }

    fn socket(&self) -> Arc<TcpListener> {
        Arc::new(TcpListener::bind(crate::kit::local()).unwrap())
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_write_timeout(timeout)
    }

    fn read_timeout(&self) -> io::Result<Option<Duration>> {
        self.read_timeout()
    }

    fn write_timeout(&self) -> io::Result<Option<Duration>> {
        self.write_timeout()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set_nodelay(nodelay)
    }

    fn set_cork(&self, _: bool) -> io::Result<()> {
        unsupported()
    }

    fn set_keepalive(&self, _: Option<Keepalive>) -> io::Result<()> {
        unsupported()
    }

    fn set_user_timeout(&self, _: Duration) -> io::Result<()> {
        unsupported()
    }

    fn set_linger(&self, _: Option<Duration>) {}

    fn linger(&self) -> Option<Duration> {
        None
    }

    fn info(&self) -> io::Result<ConnectionInfo> {
        unsupported()
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }
}
