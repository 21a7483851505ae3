//! More is written than is read.

use core::time::Duration;
use std::net::Shutdown;
use std::thread;

use crate::check::{Outcome, holds, joined, same, same_bytes, soon};
use crate::clock::now;
use crate::driver::{Driver, Stream};
use crate::kit::{
    MOMENT, Pair, configured, exchange, fill, meet, noise, quick, read_all, read_some, write_all,
};

topic! { "backpressure"
    a_writer_stops_when_nobody_reads:
        "What nobody reads fills bounded buffers, and then writing waits.";
    all_that_was_taken_arrives:
        "What a full stream took arrives once it is read, and no octet more.";
    a_stalled_stream_holds_up_no_other:
        "Streams of the same sockets go on beside one that nobody reads.";
    small_buffers_carry_much: "Much goes through buffers of 4 KiB, both ways at once.";
    a_reader_of_single_octets_gets_all: "A reader that takes one octet at a time gets every one.";
    a_stall_is_no_death: "A peer that does not read but answers probes outlasts the user timeout.";
    a_reader_wakes_the_writer: "A writer that waits goes on as soon as the peer reads.";
    a_writer_behind_a_reader_is_woken:
        "A writer goes on as soon as the peer reads, also while another thread waits in a read.";
    both_may_stall_at_once: "Two sides that both write before they read get all, once they read.";
}

fn a_writer_stops_when_nobody_reads<D: Driver>(driver: &D) -> Outcome {
    let limits =
        || configured(quick().with_recv_buffer(8_192, 65_536).with_send_buffer(8_192, 65_536));
    let pair = Pair::with(driver, &limits()?, &limits()?)?;
    let taken = fill::<D>(&pair.client)?;
    holds(taken >= 8_192, format!("only {taken} octets were taken"))?;
    // A write may overshoot the send buffer by itself.
    holds(taken <= 4 * 65_536, format!("{taken} octets were taken"))?;
    let info = pair.client.info()?;
    holds(info.send_queue <= 2 * 65_536, format!("{} octets wait", info.send_queue))?;
    pair.client.abort();
    Ok(())
}

fn all_that_was_taken_arrives<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let taken = fill::<D>(&client)?;
    client.shutdown(Shutdown::Write)?;
    let got = read_all(&server)?;
    same(got.len(), taken)?;
    // Blocks of the same noise; one may have been taken in parts.
    holds(got.starts_with(&noise(1 << 16, 9)), "the first block is whole")
}

fn a_stalled_stream_holds_up_no_other<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    let other = Pair::<D>::between(&client.socket(), listener)?;
    fill::<D>(&client)?;
    for _ in 0..20 {
        meet(&other.client, &other.server)?;
    }
    exchange(&other.client, &other.server, 1 << 20)?;
    client.abort();
    drop(server);
    Ok(())
}

fn small_buffers_carry_much<D: Driver>(driver: &D) -> Outcome {
    let small =
        || configured(quick().with_recv_buffer(4_096, 4_096).with_send_buffer(4_096, 4_096));
    let pair = Pair::with(driver, &small()?, &small()?)?;
    exchange(&pair.client, &pair.server, 300_000)
}

fn a_reader_of_single_octets_gets_all<D: Driver>(driver: &D) -> Outcome {
    const LEN: usize = 40_000;
    let small = || configured(quick().with_recv_buffer(4_096, 4_096));
    let Pair { client, server, .. } = Pair::with(driver, &small()?, &small()?)?;
    let data = noise(LEN, 4);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_all(&client, &data));
        let mut got = Vec::new();
        let mut byte = [0];
        while got.len() < LEN && server.read(&mut byte)? == 1 {
            got.push(byte[0]);
        }
        joined(writer)??;
        same_bytes(&got, &data)
    })
}

fn a_stall_is_no_death<D: Driver>(driver: &D) -> Outcome {
    let short = quick()
        .with_user_timeout(Duration::from_millis(1_000))
        .with_recv_buffer(8_192, 8_192)
        .with_send_buffer(8_192, 8_192);
    let setup = configured(short)?;
    let Pair { client, server, .. } = Pair::with(driver, &setup, &setup)?;
    let taken = fill::<D>(&client)?;
    thread::sleep(Duration::from_millis(2_000));
    holds(client.info()?.counters.window_probes > 0, "the closed window is probed")?;
    client.shutdown(Shutdown::Write)?;
    same(read_all(&server)?.len(), taken)
}

fn a_reader_wakes_the_writer<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let taken = fill::<D>(&client)?;
    thread::scope(|scope| {
        let writer = scope.spawn(|| write_all(&client, &noise(1 << 20, 5)));
        read_some(&server, taken)?;
        let got = read_some(&server, 1 << 20)?;
        joined(writer)??;
        same_bytes(&got, &noise(1 << 20, 5))
    })
}

fn a_writer_behind_a_reader_is_woken<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let taken = fill::<D>(&client)?;
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_some(&client, 1));
        thread::sleep(MOMENT);
        let writer = scope.spawn(|| write_all(&client, b"more"));
        thread::sleep(MOMENT);
        let start = now();
        read_some(&server, taken)?;
        joined(writer)??;
        soon(start)?;
        same_bytes(&read_some(&server, 4)?, b"more")?;
        write_all(&server, b"!")?;
        same_bytes(&joined(reader)??, b"!")
    })
}

fn both_may_stall_at_once<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let (there, back) = (fill::<D>(&client)?, fill::<D>(&server)?);
    same(read_some(&server, there)?.len(), there)?;
    same(read_some(&client, back)?.len(), back)?;
    meet(&client, &server)
}
