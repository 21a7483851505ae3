//! The core behind a C interface, without std: it links where there is no
//! operating system, no libc and no unwinder. What it needs from outside is in
//! this file (an allocator, and what to do about a panic) and in `main.c` (time,
//! datagrams, a seed, `memcpy` and its like).
//!
//! It must not know any target; `.ci/run` links and runs it on x86-64 Linux.
#![no_std]

extern crate alloc;

mod heap;

use alloc::boxed::Box;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::panic::PanicInfo;
use core::slice;

use tou_proto::wire::Checksum;
use tou_proto::{
    ConnId, DatagramMachine, Endpoint, EndpointConfig, Instant, ListenerId, Port, ReceivedBatch,
    Remote, TransmitBuf,
};

#[global_allocator]
static HEAP: heap::Bump = heap::Bump::new();

/// Nothing that a peer sends gets here. A program would reset the device.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// An endpoint with one connection, on a line that has one other end.
pub struct Tou {
    endpoint: Endpoint,
    listener: Option<ListenerId>,
    conn: Option<ConnId>,
    buf: TransmitBuf,
}

const OTHER_END: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
/// What calls return that cannot do what they should.
const FAILED: isize = -1;

/// A new endpoint, or null; it lives for ever.
///
/// # Safety
/// `seed` points to 32 octets that nobody can foresee.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_new(seed: *const [u8; 32], mtu: u16) -> *mut Tou {
    let config = EndpointConfig::builder()
        .with_mtu(mtu)
        .with_checksum(Checksum::Segment)
        .with_max_connections(1)
        .with_max_memory(1 << 20);
    let Ok(config) = config.build() else { return core::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let endpoint = Endpoint::new(config, unsafe { *seed });
    let buf = TransmitBuf::single();
    Box::into_raw(Box::new(Tou { endpoint, listener: None, conn: None, buf }))
}

/// Listens for one connection. Zero, or below zero.
///
/// # Safety
/// `tou` is what `tou_new` returned; so for all that follow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_listen(tou: *mut Tou, port: u16) -> isize {
    // SAFETY: the caller's promise.
    let tou = unsafe { &mut *tou };
    tou.listener = Port::new(port).and_then(|port| tou.endpoint.listen(port, 1).ok());
    tou.listener.map_or(FAILED, |_| 0)
}

/// Begins to connect. Zero, or below zero.
///
/// # Safety
/// As `tou_listen`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_connect(tou: *mut Tou, nanos: u64, port: u16) -> isize {
    // SAFETY: the caller's promise.
    let tou = unsafe { &mut *tou };
    let Some(port) = Port::new(port) else { return FAILED };
    let remote = Remote { addr: OTHER_END, port };
    tou.conn = tou.endpoint.connect(Instant::from_nanos(nanos), remote).ok();
    tou.conn.map_or(FAILED, |_| 0)
}

/// A datagram has arrived.
///
/// # Safety
/// As `tou_listen`; `data` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_arrive(tou: *mut Tou, nanos: u64, data: *const u8, len: usize) {
    // SAFETY: the caller's promise.
    let (tou, data) = unsafe { (&mut *tou, slice::from_raw_parts(data, len)) };
    let batch = ReceivedBatch::single(OTHER_END, data.to_vec());
    tou.endpoint.handle_batch(Instant::from_nanos(nanos), &batch);
    tou.conn = tou.conn.or_else(|| tou.endpoint.accept(tou.listener?));
}

/// The next datagram to send: its length, or zero. It is valid until the next
/// call.
///
/// # Safety
/// As `tou_listen`; `data` points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_send(tou: *mut Tou, nanos: u64, data: *mut *const u8) -> usize {
    // SAFETY: the caller's promise.
    let (tou, data) = unsafe { (&mut *tou, &mut *data) };
    if tou.endpoint.poll_transmit(Instant::from_nanos(nanos), &mut tou.buf).is_none() {
        return 0;
    }
    *data = tou.buf.data().as_ptr();
    tou.buf.data().len()
}

/// When `tou_elapse` wants to be called; the largest number means never.
///
/// # Safety
/// As `tou_listen`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_deadline(tou: *mut Tou) -> u64 {
    // SAFETY: the caller's promise.
    let tou = unsafe { &mut *tou };
    tou.endpoint.poll_timeout().map_or(u64::MAX, Instant::as_nanos)
}

/// Time has passed.
///
/// # Safety
/// As `tou_listen`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_elapse(tou: *mut Tou, nanos: u64) {
    // SAFETY: the caller's promise.
    unsafe { &mut *tou }.endpoint.handle_timeout(Instant::from_nanos(nanos));
}

/// Writes to the connection: how much it took, or below zero.
///
/// # Safety
/// As `tou_listen`; `data` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_write(
    tou: *mut Tou,
    nanos: u64,
    data: *const u8,
    len: usize,
) -> isize {
    // SAFETY: the caller's promise.
    let (tou, data) = unsafe { (&mut *tou, slice::from_raw_parts(data, len)) };
    let Some(conn) = tou.conn else { return FAILED };
    let written = tou.endpoint.write(Instant::from_nanos(nanos), conn, data);
    written.map_or(FAILED, usize::cast_signed)
}

/// Reads from the connection: how much there was, zero at its end, or below
/// zero.
///
/// # Safety
/// As `tou_listen`; `out` points to `len` octets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tou_read(tou: *mut Tou, nanos: u64, out: *mut u8, len: usize) -> isize {
    // SAFETY: the caller's promise.
    let (tou, out) = unsafe { (&mut *tou, slice::from_raw_parts_mut(out, len)) };
    let Some(conn) = tou.conn else { return FAILED };
    let read = tou.endpoint.read(Instant::from_nanos(nanos), conn, out);
    read.map_or(FAILED, usize::cast_signed)
}
