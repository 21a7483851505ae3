#![allow(clippy::all, clippy::unwrap_used, reason="x")]
mod common; use common::*; use std::io::{Read,Write}; use std::thread; use core::time::Duration; use std::sync::*;
use tou_udp::*; use tou_mio::*; use tou_proto::wire::*;
#[test] fn zz(){
    for i in 0..300u64 {
    let log=Arc::new(Mutex::new(Vec::<(std::time::Instant,String)>::new()));
    let mk=|name:&'static str,seed:u64|{ let log=log.clone();
      let f=move|x:&str,d:&[u8]| { let p=SegmentHeader::parse(d,Checksum::Carrier).unwrap(); let t=std::time::Instant::now(); log.lock().unwrap().push((t,format!("{name} {x} {}",p.header.display(d.len()-p.data_offset)))); };
      let bad=|seed| Impairment{drop:0.05,duplicate:0.02,reorder:0.05,corrupt:0.02,seed,..Impairment::default()};
      TouSocket::builder().with_connection(small_segments()).with_impairment(Direction::Send,bad(seed)).with_impairment(Direction::Receive,bad(seed+1)).with_observer(move |_:tou_proto::Instant,e:PumpEvent<'_>|{ match e {
        PumpEvent::Sent{transmit,data}=>for c in data.chunks(transmit.stride){f("sent",c)},
        PumpEvent::Received(b)=>for d in b.datagrams(){f("recv",&d)},
        PumpEvent::Dropped{direction,datagram,..}=>f(&format!("DROP {direction:?}"),&datagram.data),
        PumpEvent::PathError(e)=>f(&format!("ERR {e:?}"),&e.quoted), _=>{} }})};
    let Pair { client, server, listener } = pair_of(mk("C",1), mk("S",3)); drop(listener);
    thread::scope(|scope| {
        for (stream, seed) in [(&client, 1), (&server, 2)] {
            scope.spawn(move || {
                let mut stream = stream;
                stream.write_all(&noise(300000, seed)).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            });
            scope.spawn(move || assert_same(&read_all(stream), &noise(300000, 3 - seed)));
        }
    });
    let n=log.lock().unwrap().len().saturating_sub(30);
    let t=std::time::Instant::now();
    println!("C {:?} S {:?}", client.info().unwrap().state, server.info().unwrap().state);
    drop(server); let t1=t.elapsed(); drop(client); let t2=t.elapsed();
    if t1>Duration::from_millis(1500) { println!("{i} {t1:?} {t2:?}"); for (x,l) in &log.lock().unwrap()[n..] { println!("{:?} {l}", x.saturating_duration_since(t)); } return; }
    }
}
