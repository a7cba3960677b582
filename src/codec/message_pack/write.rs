//! From JSON to MessagePack.
//!
//! Not through `serde_json::Value` or a transcoder, because with its feature `arbitrary_precision`, which any crate of an
//! application may turn on, `serde_json` hands out numbers as maps. Raw text is the same in any case.

use std::fmt;

use rmp::encode;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{DEPTH_MAX, JSON_TEXT};
use crate::codec::CodecError;

pub(super) fn from_json(document: &[u8]) -> Result<Vec<u8>, CodecError> {
    // Errors of serde_json show no values.
    let document: &RawValue = serde_json::from_slice(document)?;
    if !document.get().starts_with('{') {
        return Err("the document is not a JSON object".into());
    }
    let mut stored = Vec::with_capacity(document.get().len());
    write(document, 1, &mut stored)?;
    Ok(stored)
}

fn write(value: &RawValue, depth: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'{' | b'[') if depth > DEPTH_MAX => write_as_json(json, out)?,
        Some(b'{') => {
            let Members(members) = serde_json::from_str(json)?;
            encode::write_map_len(out, u32::try_from(members.len())?)?;
            for (key, value) in members {
                write_string(key.get(), out)?;
                write(value, depth + 1, out)?;
            }
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json)?;
            encode::write_array_len(out, u32::try_from(items.len())?)?;
            for item in items {
                write(item, depth + 1, out)?;
            }
        }
        Some(b'"') => write_string(json, out)?,
        Some(b'n') => encode::write_nil(out)?,
        Some(b't') => encode::write_bool(out, true)?,
        Some(b'f') => encode::write_bool(out, false)?,
        _ => write_number(json, out)?,
    }
    Ok(())
}

fn write_string(json: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
    match serde_json::from_str::<String>(json) {
        Ok(text) => Ok(encode::write_str(out, &text)?),
        Err(_) => write_as_json(json, out),
    }
}

fn write_number(json: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
    // A zero with a sign is no integer.
    if let Some(integer) = json.parse::<i64>().ok().filter(|_| json != "-0") {
        encode::write_sint(out, integer)?;
    } else if let Ok(integer) = json.parse::<u64>() {
        encode::write_uint(out, integer)?;
    } else if let Some(float) =
        json.parse::<f64>().ok().filter(|float| serde_json::to_string(float).is_ok_and(|text| text == json))
    {
        encode::write_f64(out, float)?;
    } else {
        write_as_json(json, out)?;
    }
    Ok(())
}

fn write_as_json(json: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode::write_ext_meta(out, u32::try_from(json.len())?, JSON_TEXT)?;
    out.extend_from_slice(json.as_bytes());
    Ok(())
}

/// The members of an object, neither keys nor values decoded.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
