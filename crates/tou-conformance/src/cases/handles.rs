//! One stream in several hands.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::thread;

use crate::check::{Failure, Outcome, fails, joined, same, same_bytes};
use crate::driver::{Driver, Setup, Socket, Stream};
use crate::kit::{
    LONG, Pair, bound_again, echo, local, meet, noise, read_all, read_some, write_all,
};

topic! { "handles"
    one_reads_while_another_writes:
        "A clone writes in one thread while another reads what comes back.";
    what_one_shuts_down_is_shut_for_all: "A shutdown by one handle is one for its clones.";
    readers_share_the_data: "Of several readers each octet goes to one.";
    writers_share_the_stream: "What several writers write all arrives.";
    a_stream_keeps_its_socket:
        "A stream works when every handle to its socket and listener is gone.";
    handles_of_a_socket_are_one:
        "Clones of a socket, and its streams' sockets, are the same socket.";
}

fn one_reads_while_another_writes<D: Driver>(driver: &D) -> Outcome {
    const LEN: usize = 1 << 20;
    let Pair { client, server, .. } = Pair::new(driver)?;
    let writer = client.try_clone()?;
    thread::scope(|scope| {
        let serving = scope.spawn(|| -> Outcome {
            echo(&server)?;
            Ok(server.shutdown(Shutdown::Write)?)
        });
        let writing = scope.spawn(move || -> Outcome {
            for part in noise(LEN, 9).chunks(1_000) {
                write_all(&writer, part)?;
            }
            Ok(writer.shutdown(Shutdown::Write)?)
        });
        same_bytes(&read_all(&client)?, &noise(LEN, 9))?;
        joined(writing)??;
        joined(serving)?
    })
}

fn what_one_shuts_down_is_shut_for_all<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, .. } = Pair::new(driver)?;
    let clone = client.try_clone()?;
    client.shutdown(Shutdown::Write)?;
    fails(clone.write(b"late"), ErrorKind::BrokenPipe)?;
    same(server.read(&mut [0])?, 0)?;
    clone.shutdown(Shutdown::Read)?;
    same(client.read(&mut [0])?, 0)
}

fn readers_share_the_data<D: Driver>(driver: &D) -> Outcome {
    const LEN: usize = 400_000;
    let Pair { client, server, .. } = Pair::new(driver)?;
    // Each octet is in one of the readers' shares: the sums say so.
    let data = noise(LEN, 3);
    let sum = |data: &[u8]| data.iter().map(|&octet| u64::from(octet)).sum::<u64>();
    let shares = thread::scope(|scope| {
        let readers = [(); 3].map(|()| scope.spawn(|| read_all(&server)));
        write_all(&client, &data)?;
        client.shutdown(Shutdown::Write)?;
        let mut shares = Vec::new();
        for reader in readers {
            shares.push(joined(reader)??);
        }
        Ok::<_, Failure>(shares)
    })?;
    same(shares.iter().map(Vec::len).sum::<usize>(), LEN)?;
    same(shares.iter().map(|share| sum(share)).sum::<u64>(), sum(&data))
}

fn writers_share_the_stream<D: Driver>(driver: &D) -> Outcome {
    const LEN: usize = 500_000;
    let Pair { client, server, .. } = Pair::new(driver)?;
    thread::scope(|scope| {
        let client = &client;
        let writers =
            [b'a', b'b', b'c'].map(|octet| scope.spawn(move || write_all(client, &[octet; LEN])));
        let got = read_some(&server, 3 * LEN)?;
        for writer in writers {
            joined(writer)??;
        }
        for octet in [b'a', b'b', b'c'] {
            same(got.iter().filter(|&&got| got == octet).count(), LEN)?;
        }
        Ok(())
    })
}

fn a_stream_keeps_its_socket<D: Driver>(driver: &D) -> Outcome {
    let Pair { client, server, listener } = Pair::new(driver)?;
    drop(listener);
    meet(&client, &server)?;
    let addr = client.socket().local_addr();
    same(client.local_addr()?, addr)?;
    drop((client, server));
    // Both have gone: the port is free.
    bound_again(driver, addr)?;
    Ok(())
}

fn handles_of_a_socket_are_one<D: Driver>(driver: &D) -> Outcome {
    let socket = driver.bind(local(), &Setup::default())?;
    let clone = socket.clone();
    let pair = Pair::<D>::between(&clone, driver.listen(local())?)?;
    same(socket.connection_count(), 1)?;
    same(pair.client.socket().local_addr(), socket.local_addr())?;
    pair.client.socket().close(LONG)?;
    fails(socket.listen(), ErrorKind::NotConnected)?;
    Ok(())
}
