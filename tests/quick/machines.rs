//! The same bits on every machine: these digests hold on x86-64 and on ARM, 32 and 64 bits wide.

use std::fmt::Write as _;

use dunlin_aggregator::combine::{Accumulator, Contribution, Scale};
use dunlin_protocol::codec::{Codec, Seeds};
use dunlin_protocol::id::{Digest, Lineage, RoundId};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::rng::Rng;
use dunlin_protocol::work::{TrainFigures, WorkKind};
use dunlin_tests::name;

const N: usize = 5734;
const DEVICES: u32 = 5;

/// First eight bytes of a digest, as hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).short().0.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bits(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Digests of what five devices send, of what is read from it, and of their weighted mean.
fn digests_of_a_round(codec: Codec) -> [String; 3] {
    let scale = Scale::new(8.0, 64, DEVICES).unwrap();
    let work = WorkRef { lineage: Lineage([7; 16]), round: RoundId(3), kind: 1 };
    let metrics = TrainFigures::default().metrics();
    let (mut sent, mut read) = (Vec::new(), Vec::new());
    let mut sum = Accumulator::new(scale, N);
    for device in 1..=DEVICES {
        let mut rng = Rng::new(u64::from(device));
        let mut delta: Vec<f32> = (0..N).map(|_| rng.normal() * 0.01).collect();
        let id = name(&format!("device-{device}"));
        let seeds = Seeds::of_update(&id, work.lineage, work.round, work.kind);
        let payload = codec.encode(&mut delta, seeds, u64::from(device)).unwrap();
        let values = codec.decode(&payload, N, seeds).unwrap();
        sum.add(&Contribution::new(scale, &values, device, WorkKind::Train, &metrics)).unwrap();
        sent.extend(payload);
        read.extend(bits(&values));
    }
    [digest(&sent), digest(&read), digest(&bits(&sum.mean().unwrap()))]
}

#[test]
fn updates_are_written_read_and_summed_to_the_same_bits_on_every_machine() {
    let codecs = [
        Codec::F32,
        Codec::INT8,
        Codec::Ecdq { step: 1.0 },
        Codec::Ecdq { step: 3.0 },
        Codec::Eden { bits: 2 },
        Codec::Uniform { bits: 4, step: 0.01 },
        Codec::Sparse { step: 2.0, age: 4 },
    ];
    let found: String = codecs.iter().fold(String::new(), |mut text, &codec| {
        let [sent, read, mean] = digests_of_a_round(codec);
        let _ = writeln!(text, "{codec}: sent {sent}, read {read}, mean {mean}");
        text
    });
    assert_eq!(found, PINNED);
}

const PINNED: &str = "\
f32: sent 7c61c169b0971687, read 7c61c169b0971687, mean 24c1564a6b7e72c4
int8: sent a67ba99e2f4f4f6d, read a570e910950d4cb0, mean 5e31eace09c809e8
ecdq=1: sent fdfb8266e9da6486, read ed6fa76b14700f92, mean f1843cb24891f5ca
ecdq=3: sent 507934d9f3c4a436, read f1aea9639ab485a2, mean d0e50306a9c9cff7
eden=2: sent feccaaf8becadd42, read b84b1edde3e38cd0, mean b708c2186729ecca
uniform=4:0.01: sent f34b1ff6885dd5ee, read 9e75dd25e31668b4, mean aedc91d01b62c183
sparse=2:4: sent 6071234025ba9f17, read 63ce5110c55f2e0c, mean c9d090eaed870922
";
