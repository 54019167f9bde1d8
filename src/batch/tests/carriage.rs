//! Which batches cross unopened, which are opened, and which are dropped.

use super::generate::message_set;
use super::*;
use crate::batch::{Acceptance, Carriage, Codecs, DropReason, OpenReason, carriage};

const TARGET: Acceptance = Acceptance { max_message_bytes: 1_000, append_time: false, refused: Codecs::NONE };

/// Three records from offset 100 on, and what is changed in them.
fn three(codec: Codec, change: impl FnOnce(&mut Vec<u8>)) -> RawBatch {
    let mut builder = BatchBuilder::new(codec).base_offset(100);
    for _ in 0..3 {
        builder.push(5, None, Some(b"value"), &[]);
    }
    only(&forge(&builder.build().unwrap(), change))
}

fn reasons(batch: &RawBatch, wanted_offset: i64, target: &Acceptance) -> Vec<OpenReason> {
    match carriage(batch, wanted_offset, target) {
        Carriage::Open(reasons) => reasons.iter().collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_batch_crosses_unopened() {
    for codec in CODECS {
        let batch = three(codec, |_| {});
        assert_eq!(carriage(&batch, 100, &TARGET), Carriage::AsIs);
        assert_eq!(carriage(&batch, 0, &TARGET), Carriage::AsIs, "gaps between batches need no opening");
        let exact = Acceptance { max_message_bytes: batch.bytes().len(), ..TARGET };
        assert_eq!(carriage(&batch, 100, &exact), Carriage::AsIs);
    }
    let transactional = three(Codec::None, |bytes| bytes[22] |= 0x10);
    assert_eq!(carriage(&transactional, 100, &TARGET), Carriage::AsIs);
}

#[test]
fn what_holds_nothing_is_dropped() {
    let control = three(Codec::None, |bytes| bytes[22] |= 0x30);
    assert_eq!(carriage(&control, 100, &TARGET), Carriage::Drop(DropReason::Control));
    let empty = three(Codec::Lz4, |bytes| {
        bytes.truncate(61);
        bytes[57..61].copy_from_slice(&[0; 4]);
    });
    assert_eq!(carriage(&empty, 100, &TARGET), Carriage::Drop(DropReason::Empty));
    let batch = three(Codec::None, |_| {});
    assert_eq!(carriage(&batch, 103, &TARGET), Carriage::Drop(DropReason::Behind));
    assert_eq!(reasons(&batch, 102, &TARGET), [OpenReason::Head]);
}

#[test]
fn each_reason_to_open_is_found_alone() {
    let plain = three(Codec::Zstd, |_| {});
    let gaps = three(Codec::None, |bytes| bytes[23..27].copy_from_slice(&3_i32.to_be_bytes()));
    assert_eq!(reasons(&gaps, 100, &TARGET), [OpenReason::Gaps]);
    assert_eq!(reasons(&plain, 101, &TARGET), [OpenReason::Head]);
    let small = Acceptance { max_message_bytes: plain.bytes().len() - 1, ..TARGET };
    assert_eq!(reasons(&plain, 100, &small), [OpenReason::Size]);
    let no_zstd = Acceptance { refused: Codecs::NONE.with(Codec::Zstd).with(Codec::Gzip), ..TARGET };
    assert_eq!(reasons(&plain, 100, &no_zstd), [OpenReason::Codec]);
    assert_eq!(carriage(&three(Codec::Lz4, |_| {}), 100, &no_zstd), Carriage::AsIs);
    let unknown = three(Codec::None, |bytes| bytes[22] = 6);
    assert_eq!(reasons(&unknown, 100, &TARGET), [OpenReason::Codec]);

    let appended = three(Codec::None, |bytes| bytes[22] |= 0x08);
    assert_eq!(reasons(&appended, 100, &TARGET), [OpenReason::AppendTime]);
    let appends = Acceptance { append_time: true, ..TARGET };
    assert_eq!(carriage(&appended, 100, &appends), Carriage::AsIs);
    assert_eq!(carriage(&plain, 100, &appends), Carriage::AsIs);
}

#[test]
fn reasons_add_up_and_have_names() {
    let batch = three(Codec::Gzip, |bytes| {
        bytes[22] |= 0x08;
        bytes[26] = 9;
    });
    let target = Acceptance { max_message_bytes: 10, refused: Codecs::NONE.with(Codec::Gzip), ..TARGET };
    let Carriage::Open(all) = carriage(&batch, 101, &target) else { panic!("it must be opened") };
    assert_eq!(all.to_string(), "gaps,head,size,append_time,codec");
    assert!(all.contains(OpenReason::Size) && !all.contains(OpenReason::Legacy));
}

#[test]
fn old_message_sets_are_opened_or_behind() {
    let values = [b"a".to_vec(), b"b".to_vec()];
    for magic in [0, 1] {
        for codec in [Codec::None, Codec::Gzip] {
            // Uncompressed, a set is one message; compressed, its offset is that of the last.
            let values = if codec == Codec::None { &values[..1] } else { &values[..] };
            let batch = match codec {
                Codec::None => only(&super::generate::message(magic, codec, 100, 5, b"a")),
                _ => only(&message_set(magic, codec, 100, values)),
            };
            let last = 100 + values.len() as i64 - 1;
            assert_eq!(reasons(&batch, 100, &TARGET), [OpenReason::Legacy]);
            assert_eq!(reasons(&batch, last, &TARGET), [OpenReason::Legacy]);
            assert_eq!(carriage(&batch, last + 1, &TARGET), Carriage::Drop(DropReason::Behind));
        }
    }
    // What old librdkafka wrote: the offsets are inside only.
    let mut bytes = message_set(1, Codec::Gzip, 0, &values);
    bytes[..8].copy_from_slice(&[0; 8]);
    assert_eq!(reasons(&only(&bytes), 1, &TARGET), [OpenReason::Legacy]);
}
