use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

use super::*;

const BINDING: Binding<'_> = Binding { namespace: "", id: SessionId::from_bytes([7; 16]), user: None };

fn codecs() -> [Box<dyn Codec>; 4] {
    [
        Box::new(JsonCodec),
        Box::new(MessagePackCodec),
        Box::new(CompressedCodec::new(JsonCodec)),
        Box::new(CompressedCodec::new(MessagePackCodec)),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<f64>().prop_filter_map("JSON has finite numbers only", |n| Number::from_f64(n).map(Value::from)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        any::<String>().prop_map(Value::from),
        ("[a-z ]{1,20}", 1..100_usize).prop_map(|(text, times)| Value::from(text.repeat(times))),
    ];
    leaf.prop_recursive(5, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            vec((any::<String>(), inner), 0..6).prop_map(Value::from_iter),
        ]
    })
}

fn document() -> impl Strategy<Value = Vec<u8>> {
    let object = vec((any::<String>(), value()), 0..5).prop_map(Map::from_iter);
    object.prop_map(|object| Value::from(object).to_string().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_codec_reads_what_every_codec_wrote(document in document()) {
        for writer in codecs() {
            let stored = writer.encode(document.clone(), BINDING).unwrap();
            for reader in codecs() {
                let read = reader.decode(&stored, BINDING).unwrap();
                prop_assert_eq!(&*read, &*document, "{:?} by {:?}", writer, reader);
            }
        }
    }

    #[test]
    fn damage_is_an_error_or_another_document(
        document in document(),
        flips in vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for writer in codecs() {
            let stored = writer.encode(document.clone(), BINDING).unwrap();
            let mut flipped = stored.clone();
            for (place, bit) in &flips {
                flipped[place.index(stored.len())] ^= 1 << bit;
            }
            for damaged in [&flipped[..], &stored[..cut.index(stored.len())]] {
                for reader in codecs() {
                    if let Ok(read) = reader.decode(damaged, BINDING) {
                        prop_assert!(read.len() <= damaged.len().saturating_mul(255 * 6) + 16);
                    }
                }
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(form in prop::sample::select(vec![0x01_u8, 0x81, 0x8f, 0xde, 0xdf]), rest in vec(any::<u8>(), 0..600)) {
        let stored = [vec![form], rest].concat();
        for reader in codecs() {
            drop(reader.decode(&stored, BINDING));
        }
    }
}

#[test]
fn the_first_byte_tells_the_form() {
    let document = format!("{{\"a\":\"{}\"}}", "a".repeat(1_000)).into_bytes();
    let first = codecs().map(|codec| codec.encode(document.clone(), BINDING).unwrap()[0]);
    assert_eq!(first, [b'{', 0x81, 0x01, 0x01]);
}

#[test]
fn what_is_small_or_does_not_get_smaller_is_not_compressed() {
    let codec = CompressedCodec::new(JsonCodec);
    for document in [b"{}".to_vec(), format!("{{\"a\":\"{}\"}}", "a".repeat(500)).into_bytes(), noise(4_000)] {
        assert_eq!(codec.encode(document.clone(), BINDING).unwrap(), document);
    }
    // Beyond what would be read again.
    let huge = format!("{{\"a\":\"{}\"}}", "a".repeat(16 << 20)).into_bytes();
    assert_eq!(codec.encode(huge.clone(), BINDING).unwrap(), huge);
}

/// Visible characters without any order.
#[allow(clippy::cast_possible_truncation, reason = "five bits are left")]
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        b'#' + (state >> 59) as u8 * 2
    };
    (0..length).map(|_| next()).collect()
}

/// Compressed data say how long they will be: that is not believed.
#[test]
fn a_decompression_bomb_is_refused() {
    let allocated = |stored: &[u8]| {
        let mut refused = false;
        let info = allocation_counter::measure(|| refused = JsonCodec.decode(stored, BINDING).is_err());
        assert!(refused);
        info.bytes_max
    };
    let claims = |length: u32, packed: &[u8]| [&[0x01][..], &length.to_le_bytes(), packed].concat();
    // Four GiB, 16 MiB from a few bytes, and 16 MiB and a byte from as many as it takes.
    assert!(allocated(&claims(u32::MAX, b"\x1fa\x01\0")) < 4_096);
    assert!(allocated(&claims(16 << 20, b"\x1fa\x01\0")) < 4_096);
    assert!(allocated(&claims((16 << 20) + 1, &vec![0xff; 70_000])) < 4_096);

    let codec = CompressedCodec::new(JsonCodec);
    let document = format!("{{\"a\":\"{}\"}}", "a".repeat(4_000)).into_bytes();
    let stored = codec.encode(document.clone(), BINDING).unwrap();
    for wrong in [document.len() - 1, document.len() + 1, 0] {
        let lie = claims(u32::try_from(wrong).unwrap(), &stored[5..]);
        assert!(allocated(&lie) < 16_384, "{wrong}");
    }

    // Compressed twice: 64 KiB could stand for 4 GiB.
    let twice = lz4_flex::block::compress(&stored);
    assert!(allocated(&claims(u32::try_from(stored.len()).unwrap(), &twice)) < 16_384);
}

#[test]
fn errors_show_nothing_of_what_is_stored() {
    for stored in
        [&b"\x81\xa7hunter2"[..], b"\x81\xa7hunter2\xc1", b"\x01\x20\0\0\0hunter2hunter2", b"\x81\xa1a\xd6\0hunt"]
    {
        let error = JsonCodec.decode(stored, BINDING).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunt"), "{error}");
    }
}
