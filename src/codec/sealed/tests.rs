use proptest::collection::vec;
use proptest::prelude::*;

use super::key::KEY_NAME_BYTES;
use super::*;
use crate::codec::{CompressedCodec, MessagePackCodec};
use crate::token::SessionId;

const NONCE: std::ops::Range<usize> = 1 + KEY_NAME_BYTES..1 + KEY_NAME_BYTES + 24;
const OVERHEAD: usize = 45;
const DOCUMENT: &[u8] = br#"{"v":1,"data":{"card":"4111 1111 1111 1111"}}"#;

fn binding<'a>(namespace: &'a str, id: u8, user: Option<&'a str>) -> Binding<'a> {
    Binding { namespace, id: SessionId::from_bytes([id; 16]), user }
}

const HERE: Binding<'_> = Binding { namespace: "shop", id: SessionId::from_bytes([7; 16]), user: Some("ada") };

fn key() -> SealingKey {
    SealingKey::generate().unwrap()
}

/// The same key once more.
fn again(key: &SealingKey) -> SealingKey {
    key.expose().parse().unwrap()
}

fn sealed_by(codec: &impl Codec) -> Vec<u8> {
    codec.encode(DOCUMENT.to_vec(), HERE).unwrap()
}

fn refusal(codec: &impl Codec, stored: &[u8], binding: Binding<'_>) -> String {
    codec.decode(stored, binding).unwrap_err().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_opens_for_its_own_binding(
        document in vec(any::<u8>(), 0..2_000),
        namespace in any::<String>(),
        id in any::<u8>(),
        user in any::<Option<String>>(),
    ) {
        let codec = SealedCodec::new(key());
        let own = binding(&namespace, id, user.as_deref());
        // JSON text, since the codec inside tells forms apart by their first byte.
        let document = [b"{".to_vec(), document].concat();
        let stored = codec.encode(document.clone(), own).unwrap();
        prop_assert_eq!(stored.len(), document.len() + OVERHEAD);
        prop_assert_eq!(stored[0], 0x02);
        prop_assert_eq!(codec.decode(&stored, own).unwrap().into_owned(), document);
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(rest in vec(any::<u8>(), 0..200)) {
        let codec = SealedCodec::new(key());
        let mut stored = [vec![0x02], rest].concat();
        prop_assert!(codec.decode(&stored, HERE).is_err());
        // The name of the key is no secret.
        let ours = sealed_by(&codec);
        for (to, from) in stored.iter_mut().zip(&ours[..NONCE.start]) {
            *to = *from;
        }
        prop_assert!(codec.decode(&stored, HERE).is_err());
    }
}

#[test]
fn no_two_bindings_agree() {
    let codec = SealedCodec::new(key());
    let bindings = [
        binding("", 7, None),
        binding("", 8, None),
        binding("", 7, Some("")),
        binding("ab", 7, None),
        binding("ab", 7, Some("")),
        binding("a", 7, Some("b")),
        binding("a", 7, Some("B")),
        binding("", 7, Some("ab")),
        // What the other parts would look like if they ran together.
        binding("\u{1}ab", 7, None),
        binding("ab\u{1}", 7, Some("c")),
        binding("ab", 7, Some("\u{1}c")),
        binding("ab\0", 7, None),
        binding("ab\u{1}c", 7, None),
    ];
    for one in bindings {
        let stored = codec.encode(DOCUMENT.to_vec(), one).unwrap();
        for other in bindings {
            let same = format!("{one:?}") == format!("{other:?}");
            assert_eq!(codec.decode(&stored, other).is_ok(), same, "{one:?} {other:?}");
        }
    }
}

#[test]
fn every_bit_counts() {
    let codec = SealedCodec::new(key());
    let stored = sealed_by(&codec);
    for place in 0..stored.len() {
        for bit in 0..8 {
            let mut flipped = stored.clone();
            flipped[place] ^= 1 << bit;
            assert!(codec.decode(&flipped, HERE).is_err(), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn every_byte_counts() {
    let codec = SealedCodec::new(key());
    let stored = sealed_by(&codec);
    for length in 0..stored.len() {
        assert!(codec.decode(&stored[..length], HERE).is_err(), "the first {length} bytes");
    }
    for longer in [[&stored[..], b"\0"].concat(), [&stored[..], &stored].concat(), [b"\x02", &stored[..]].concat()] {
        assert!(codec.decode(&longer, HERE).is_err());
    }
}

#[test]
fn parts_of_two_records_make_no_third() {
    let codec = SealedCodec::new(key());
    let (one, other) = (sealed_by(&codec), sealed_by(&codec));
    for cut in [NONCE.start, NONCE.end, one.len() - 16] {
        let spliced = [&one[..cut], &other[cut..]].concat();
        assert!(spliced == other || codec.decode(&spliced, HERE).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_same_document_is_sealed_differently_every_time() {
    let codec = SealedCodec::new(key());
    let mut nonces: Vec<_> = (0..1_000).map(|_| sealed_by(&codec)[NONCE].to_vec()).collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 1_000);
}

#[test]
fn nothing_of_the_document_can_be_read() {
    let stored = sealed_by(&SealedCodec::new(key()));
    for word in DOCUMENT.windows(4) {
        assert!(!stored.windows(4).any(|bytes| bytes == word), "{}", word.escape_ascii());
    }
}

#[test]
fn the_first_key_seals_and_all_of_them_open() {
    let (old, new) = (key(), key());
    let with_old = SealedCodec::new(again(&old));
    let both = SealedCodec::new(KeyRing::from(again(&new)).also_opening(again(&old)));
    let with_new = SealedCodec::new(new);
    let (by_old, by_both) = (sealed_by(&with_old), sealed_by(&both));
    for stored in [&by_old, &by_both] {
        assert_eq!(&*both.decode(stored, HERE).unwrap(), DOCUMENT);
    }
    assert_eq!(&*with_new.decode(&by_both, HERE).unwrap(), DOCUMENT);
    let name = format!("{old:?}").replace("SealingKey(", "").replace(')', "");
    assert_eq!(
        refusal(&with_new, &by_old, HERE),
        format!("the record is sealed with the key {name}, which is not in the key ring")
    );
}

#[test]
fn a_record_does_not_open_under_the_name_of_another_key() {
    let (one, other) = (key(), key());
    let mut renamed = sealed_by(&SealedCodec::new(again(&other)));
    renamed[1..NONCE.start].copy_from_slice(&one.name().0);
    let ring = KeyRing::from(one).also_opening(other);
    assert!(SealedCodec::new(ring).decode(&renamed, HERE).is_err());
}

#[test]
fn a_plain_record_is_refused_unless_it_is_said_to_be_accepted() {
    let plain = JsonCodec.encode(DOCUMENT.to_vec(), HERE).unwrap();
    let packed = MessagePackCodec.encode(DOCUMENT.to_vec(), HERE).unwrap();
    let ring = KeyRing::from(key());
    let strict = SealedCodec::new(ring.clone());
    let accepting = strict.clone().insecure_accepting_plain_records();
    let writing = strict.clone().insecure_writing_plain_records();
    for stored in [&plain, &packed] {
        assert_eq!(refusal(&strict, stored, HERE), "the record is not sealed");
        assert_eq!(&*accepting.decode(stored, HERE).unwrap(), DOCUMENT);
        assert_eq!(&*writing.decode(stored, HERE).unwrap(), DOCUMENT);
    }
    assert_eq!(refusal(&strict, b"", HERE), "the record is not sealed");
    let by_strict = sealed_by(&strict);
    assert_eq!(&*writing.decode(&by_strict, HERE).unwrap(), DOCUMENT);
    assert_eq!((sealed_by(&accepting)[0], sealed_by(&writing)), (0x02, plain));
    assert_eq!(refusal(&JsonCodec, &by_strict, HERE), "the record is sealed: a `SealedCodec` with its key opens it");
    // To accept plain ones opens no other door.
    assert!(accepting.decode(&sealed_by(&SealedCodec::new(key())), HERE).is_err());
}

#[test]
fn any_codec_can_be_inside() {
    let long = format!("{{\"a\":\"{}\"}}", "a".repeat(4_000)).into_bytes();
    let codec = SealedCodec::new(key()).over(CompressedCodec::new(MessagePackCodec));
    let stored = codec.encode(long.clone(), HERE).unwrap();
    assert!(stored.len() < 200, "{}", stored.len());
    assert_eq!(&*codec.decode(&stored, HERE).unwrap(), long);
}

/// Made by an implementation in another language, after draft-irtf-cfrg-xchacha-03 and the description of the form.
#[test]
fn the_format_stands() {
    let key: SealingKey = "3e1f7ac0954d28b6f0d3716a8e42b95c07e8dd31a6549f20cb7b1268f4390ae5".parse().unwrap();
    assert_eq!(format!("{key:?}"), "SealingKey(a35df499)");
    let stored = hex(
        "02a35df499000102030405060708090a0b0c0d0e0f10111213141516178aa1151afe3f13d95dc87bd2bdf058bf2976d4badb2a709fe4\
         c84fb8307964fe28531ce5789aab533a5d4612349589b496f915d642c191cb5e92ef09b4",
    );
    assert_eq!(&*SealedCodec::new(key).decode(&stored, HERE).unwrap(), DOCUMENT);
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

mod keys {
    use super::*;

    fn problem(result: Result<SealingKey, crate::ConfigError>) -> &'static str {
        match result.unwrap_err() {
            crate::ConfigError::SealingKey { problem } => problem,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for length in [0, 1, 16, 31, 33, 64] {
            let bytes: Vec<u8> = key().bytes().iter().copied().cycle().take(length).collect();
            assert_eq!(problem(SealingKey::new(&bytes)), "has to be 32 bytes", "{length}");
        }
        assert_eq!(problem(SealingKey::new(b"secret")), "has to be 32 bytes");
    }

    #[test]
    fn a_key_that_is_not_random_is_refused() {
        let counted: Vec<u8> = (0..32).collect();
        let of_the_rfc: Vec<u8> = (0x80..0xa0).collect();
        let few = |n: u32| (0..32_u32).map(|at| u8::try_from(at * at % 31 % n + 200).unwrap()).collect::<Vec<_>>();
        let table: [(&[u8], &str); 11] = [
            (&[0; 32], "is a sequence"),
            (&[0xff; 32], "is a sequence"),
            (&counted, "is a sequence"),
            // RFC 8439 section 2.8.2.
            (&of_the_rfc, "is a sequence"),
            (&[0xde, 0xad, 0xbe, 0xef].repeat(8), "repeats itself"),
            (&key().bytes()[..16].repeat(2), "repeats itself"),
            (b"0123456789abcdef0123456789abcdef", "repeats itself"),
            (&few(11), "has hardly any different bytes"),
            (b"correct horse battery staple 123", "is text, which can be guessed; if it stands for bytes, parse it"),
            (b"0e1f7ac0954d28b6f0d3716a8e42b95c", "is text, which can be guessed; if it stands for bytes, parse it"),
            (b"ThisIsASecretKeyForMyApplication", "is text, which can be guessed; if it stands for bytes, parse it"),
        ];
        for (bytes, said) in table {
            assert_eq!(problem(SealingKey::new(bytes)), said, "{}", bytes.escape_ascii());
            let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            let hex: String = digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect();
            assert_eq!(problem(hex.parse()), said, "{hex}");
        }
    }

    #[test]
    fn random_keys_are_taken() {
        for _ in 0..2_000 {
            let key = key();
            SealingKey::new(key.bytes()).unwrap();
        }
    }

    #[test]
    fn a_key_is_read_from_hex_and_from_base64_of_both_alphabets() {
        let key = key();
        let mut padded = [0; 33];
        padded[..32].copy_from_slice(key.bytes());
        let url_safe = crate::token::base64url::encode(&padded)[..43].to_owned();
        let standard = url_safe.replace('-', "+").replace('_', "/");
        let hex = key.expose();
        for text in [
            hex.to_string(),
            hex.to_uppercase(),
            format!("{}\n", *hex),
            format!("{url_safe}="),
            format!("{standard}=\n"),
            url_safe.clone(),
            standard,
        ] {
            assert_eq!(text.parse::<SealingKey>().unwrap().bytes(), key.bytes(), "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_no_keys() {
        let hex = key().expose();
        let spare_bits = format!("{}B", &"abcDEF123-_xyzABCdef456uvwGHI789rstJKLmnoPQR"[..42]);
        for text in [
            String::new(),
            "secret".to_owned(),
            hex[1..].to_owned(),
            format!("{}g", &hex[1..]),
            format!("0{}", *hex),
            format!("{}\u{e9}", &hex[2..]),
            format!("0x{}", &hex[2..]),
            spare_bits.clone(),
            format!("{spare_bits}=="),
            format!("{}.", &spare_bits[1..]),
        ] {
            let said = problem(text.parse());
            assert_eq!(said, "has to be 64 hexadecimal digits, or 43 characters of base64", "{text:?}");
        }
    }

    #[test]
    fn a_ring_is_read_from_text() {
        let (one, other) = (key(), key());
        let expected = format!("KeyRing([{one:?}, {other:?}])");
        for text in [
            format!("{},{}", *one.expose(), *other.expose()),
            format!(" {} ,\n{},\n", *one.expose(), *other.expose()),
            format!("{}\n{}\n", *one.expose(), *other.expose()),
        ] {
            assert_eq!(format!("{:?}", text.parse::<KeyRing>().unwrap()), expected, "{text:?}");
        }
        for text in ["", " ", ",", "\n"] {
            let error = text.parse::<KeyRing>().unwrap_err().to_string();
            assert!(error.starts_with("a sealing key is missing: "), "{error}");
        }
        assert!(format!("{} secret", *one.expose()).parse::<KeyRing>().is_err());
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let (one, other) = (key(), key());
        let secrets = [one.expose(), other.expose()];
        let codec = SealedCodec::new(KeyRing::from(again(&one)).also_opening(again(&other)));
        let foreign = sealed_by(&SealedCodec::new(key()));
        let wrong = format!("{}x", &*secrets[0]);
        let printed = [
            format!("{one:?} {codec:?}"),
            refusal(&codec, &foreign, HERE),
            refusal(&codec, &sealed_by(&codec), binding("shop", 8, None)),
            format!("{0} {0:?}", wrong.parse::<SealingKey>().unwrap_err()),
            format!("{0} {0:?}", SealingKey::new(&one.bytes()[1..]).unwrap_err()),
        ]
        .concat();
        for secret in &secrets {
            assert!(
                secret.as_bytes().windows(6).all(|part| !printed.contains(str::from_utf8(part).unwrap())),
                "{printed}"
            );
        }
        // The name is not a part of the key.
        assert!(format!("{one:?}").starts_with("SealingKey(") && format!("{one:?}").len() == 20);
    }
}
