//! Time for one data segment through both ends of a connection.

use core::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tou_bench::bulk::{Bulk, Read};

fn bulk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bulk");
    for (name, read) in [("read_chunk", Read::Chunk), ("read", Read::Copy)] {
        let mut bulk = Bulk::new();
        // Past slow start; and the segments that a run takes.
        let report = bulk.transfer(BYTES, read);
        group.throughput(Throughput::Elements(report.data_segments));
        group.sample_size(20);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(bulk.transfer(BYTES, read)));
        });
    }
    group.finish();
}

/// Octets in one iteration.
const BYTES: u64 = 16 << 20;

criterion_group!(benches, bulk);
criterion_main!(benches);
