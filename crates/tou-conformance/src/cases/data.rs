//! Octets in, octets out, by every kind of call.

use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::thread;

use bytes::Bytes;
use tou_proto::State;

use crate::check::{Outcome, comes, holds, joined, same, same_bytes};
use crate::driver::{Driver, Stream};
use crate::kit::{
    MOMENT, Pair, echo, exchange, fill, meet, noise, read_all, read_some, round_trip, write_all,
};

topic! { "data"
    an_echo_comes_back: "Messages of all sizes come back as they were.";
    much_goes_both_ways_at_once: "Four megabytes each way at once are whole.";
    reading_or_writing_nothing_returns_at_once:
        "Calls with nothing to read into or to write return zero and do not wait, also at the end.";
    a_peek_takes_nothing: "A peek returns what the next read returns too.";
    a_peek_waits: "A peek waits for data and sees the end.";
    vectored_reads_fill_in_order: "A vectored read fills its buffers one after the other.";
    vectored_writes_join: "A vectored write sends its buffers one after the other.";
    empty_vectors_are_nothing: "Vectored calls with empty buffers return zero at once.";
    chunks_come_in_order:
        "Runs of data without a copy are whole and in order, and no longer than asked for.";
    chunks_go_in_parts: "Writing a run without a copy takes it from the front and leaves the rest.";
    chunks_and_copies_mix: "Reads, chunks and peeks in turn see one stream.";
    many_small_writes_are_one_stream:
        "A hundred thousand octets written one to seven at a time arrive in order.";
    flushing_does_not_wait: "Flushing is done at once, even when the peer reads nothing.";
}

fn an_echo_comes_back<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    thread::scope(|scope| {
        let serving = scope.spawn(|| echo(&server));
        for len in [1, 2, 64, 1_452, 1_500, 20_000, 70_000] {
            round_trip(&client, &noise(len, 4))?;
        }
        client.shutdown(Shutdown::Write)?;
        Ok(joined(serving)??)
    })
}

fn much_goes_both_ways_at_once<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    exchange(&client, &server, 4 << 20)
}

fn reading_or_writing_nothing_returns_at_once<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let nothing = || -> Outcome {
        same(client.read(&mut [])?, 0)?;
        same(client.peek(&mut [])?, 0)?;
        same(client.read_chunk(0)?, Some(Bytes::new()))?;
        same(client.write(&[])?, 0)?;
        same(client.write_bytes(&mut Bytes::new())?, 0)
    };
    nothing()?;
    meet(&client, &server)?;
    same(server.write(b"x")?, 1)?;
    server.shutdown(Shutdown::Write)?;
    comes("the data and the end are there", || Ok(client.info()?.state == State::CloseWait))?;
    nothing()?;
    same(client.read(&mut [0; 2])?, 1)?;
    same(client.read(&mut [0])?, 0)?;
    nothing()
}

fn a_peek_takes_nothing<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&client, b"hello")?;
    let mut seen = [0; 8];
    comes("all of it is there", || Ok(server.peek(&mut seen)? == 5))?;
    same_bytes(&seen[..5], b"hello")?;
    same(server.peek(&mut seen[..2])?, 2)?;
    same_bytes(&read_some(&server, 3)?, b"hel")?;
    same(server.peek(&mut seen)?, 2)?;
    same_bytes(&seen[..2], b"lo")?;
    same_bytes(&read_some(&server, 2)?, b"lo")
}

fn a_peek_waits<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    thread::scope(|scope| {
        let peeker = scope.spawn(|| server.peek(&mut [0; 4]));
        thread::sleep(MOMENT);
        write_all(&client, b"here")?;
        holds(joined(peeker)?? > 0, "it sees something")?;
        read_some(&server, 4)?;
        let peeker = scope.spawn(|| server.peek(&mut [0; 4]));
        thread::sleep(MOMENT);
        client.shutdown(Shutdown::Write)?;
        same(joined(peeker)??, 0)
    })
}

fn vectored_reads_fill_in_order<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    write_all(&client, b"one two three")?;
    comes("all of it is there", || Ok(server.peek(&mut [0; 32])? == 13))?;
    let (mut first, mut second, mut third) = ([0; 4], [0; 4], [0; 16]);
    let bufs = &mut [&mut first[..], &mut [], &mut second, &mut third].map(IoSliceMut::new);
    same(server.read_vectored(bufs)?, 13)?;
    same_bytes(&first, b"one ")?;
    same_bytes(&second, b"two ")?;
    same_bytes(&third[..5], b"three")
}

fn vectored_writes_join<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let parts: [&[u8]; 4] = [b"one ", b"", b"two ", b"three"];
    let written = client.write_vectored(&parts.map(IoSlice::new))?;
    same(written, 13)?;
    same_bytes(&read_some(&server, 13)?, b"one two three")?;
    // More than is taken at once: what it says it took is what arrives.
    let (large, more) = (noise(3 << 20, 1), noise(9 << 20, 2));
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&server));
        let written = client.write_vectored(&[IoSlice::new(&large), IoSlice::new(&more)])?;
        client.shutdown(Shutdown::Write)?;
        let expected = [&large[..], &more].concat();
        same_bytes(&joined(reader)??, &expected[..written])
    })
}

fn empty_vectors_are_nothing<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    same(client.read_vectored(&mut [])?, 0)?;
    same(client.read_vectored(&mut [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])])?, 0)?;
    same(client.write_vectored(&[])?, 0)?;
    same(client.write_vectored(&[IoSlice::new(&[]), IoSlice::new(&[])])?, 0)?;
    meet(&client, &server)
}

fn chunks_come_in_order<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let data = noise(500_000, 11);
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> Outcome {
            write_all(&client, &data)?;
            Ok(client.shutdown(Shutdown::Write)?)
        });
        let mut got = Vec::new();
        while let Some(chunk) = server.read_chunk(4_000)? {
            holds((1..=4_000).contains(&chunk.len()), "it has as much as was asked for at most")?;
            got.extend_from_slice(&chunk);
        }
        joined(writer)??;
        same_bytes(&got, &data)
    })
}

fn chunks_go_in_parts<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let data = Bytes::from(noise(12 << 20, 12));
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&server));
        let mut left = data.clone();
        while !left.is_empty() {
            let before = left.len();
            let taken = client.write_bytes(&mut left)?;
            holds(taken > 0, "something is taken")?;
            same(left.len(), before - taken)?;
        }
        client.shutdown(Shutdown::Write)?;
        same_bytes(&joined(reader)??, &data)
    })
}

fn chunks_and_copies_mix<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let data = noise(300_000, 13);
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> Outcome {
            for (index, part) in data.chunks(7_001).enumerate() {
                if index % 2 == 0 {
                    write_all(&client, part)?;
                } else {
                    let mut part = Bytes::copy_from_slice(part);
                    while !part.is_empty() {
                        client.write_bytes(&mut part)?;
                    }
                }
            }
            Ok(client.shutdown(Shutdown::Write)?)
        });
        let (mut got, mut buf, mut seen) = (Vec::new(), [0; 900], [0; 100]);
        loop {
            let len = server.peek(&mut seen)?;
            let before = got.len();
            if got.len() % 3 == 0 {
                got.extend_from_slice(&server.read_chunk(1_000)?.unwrap_or_default());
            } else {
                let len = server.read(&mut buf)?;
                got.extend_from_slice(&buf[..len]);
            }
            let new = &got[before..];
            let common = len.min(new.len());
            same_bytes(&new[..common], &seen[..common])?;
            if new.is_empty() {
                break;
            }
        }
        joined(writer)??;
        same_bytes(&got, &data)
    })
}

fn many_small_writes_are_one_stream<D: Driver>(driver: &D) -> Outcome {
    const LEN: usize = 100_000;
    let Pair { client, server, .. } = Pair::new(driver)?;
    let data = noise(LEN, 14);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_all(&server));
        let (mut rest, mut size) = (&data[..], 0);
        while !rest.is_empty() {
            size = size % 7 + 1;
            let (part, others) = rest.split_at(size.min(rest.len()));
            write_all(&client, part)?;
            rest = others;
        }
        client.shutdown(Shutdown::Write)?;
        same_bytes(&joined(reader)??, &data)
    })
}

fn flushing_does_not_wait<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let taken = fill::<D>(&client)?;
    client.flush()?;
    client.shutdown(Shutdown::Write)?;
    client.flush()?;
    same(read_all(&server)?.len(), taken)
}
