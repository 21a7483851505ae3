//! Parsing and writing segment headers.

use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tou_proto::wire::{
    Checksum, SackBlock, SegmentFlags, SegmentHeader, SegmentOptions, Timestamps,
};
use tou_proto::{Port, SeqNumber};

fn wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Elements(1));
    for (name, header, payload) in cases() {
        let mut segment = vec![0; header.encoded_len() + payload];
        for checksum in [Checksum::Carrier, Checksum::Segment] {
            header.emit(checksum, &mut segment);
            group.bench_function(format!("parse/{name}/{checksum:?}"), |bencher| {
                bencher.iter(|| SegmentHeader::parse(black_box(&segment), checksum));
            });
            group.bench_function(format!("emit/{name}/{checksum:?}"), |bencher| {
                bencher.iter(|| black_box(&header).emit(checksum, black_box(&mut segment)));
            });
        }
    }
    group.finish();
}

/// Name, header, octets of data.
fn cases() -> [(&'static str, SegmentHeader, usize); 3] {
    let header = |flags, options| SegmentHeader {
        src_port: Port::new(50_000).expect("not zero"),
        dst_port: Port::new(7).expect("not zero"),
        seq: SeqNumber::new(0xFFFF_0000),
        ack: SeqNumber::new(0x1234_5678),
        flags,
        window: 502,
        urgent: 0,
        options,
    };
    let timestamps = Some(Timestamps { tsval: 1_000, tsecr: 900 });
    let syn = SegmentOptions {
        mss: Some(1_452),
        window_scale: Some(8),
        sack_permitted: true,
        timestamps,
        ..SegmentOptions::default()
    };
    let data = SegmentOptions { timestamps, ..SegmentOptions::default() };
    let block =
        |left: u32| SackBlock { left: SeqNumber::new(left), right: SeqNumber::new(left + 1_440) };
    let sack = SegmentOptions {
        timestamps,
        sack: (1..4).map(|index| block(index * 10_000)).collect(),
        ..SegmentOptions::default()
    };
    [
        ("syn", header(SegmentFlags::SYN, syn), 0),
        ("data", header(SegmentFlags::ACK, data), 1_440),
        ("sack", header(SegmentFlags::ACK, sack), 0),
    ]
}

criterion_group!(benches, wire);
criterion_main!(benches);
