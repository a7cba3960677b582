//! From MessagePack to JSON. Whatever the bytes are, it takes no more memory than a few times their length.

use std::io::Write as _;
use std::str;

use rmp::Marker;
use rmp::decode;
use serde_json::value::RawValue;

use super::{DEPTH_MAX, JSON_TEXT};
use crate::codec::CodecError;

pub(in crate::codec) fn to_json(stored: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut reader = Reader { rest: stored, json: Vec::with_capacity(stored.len().saturating_mul(2)) };
    reader.value(1)?;
    if reader.rest.is_empty() { Ok(reader.json) } else { Err("something follows the MessagePack of the record".into()) }
}

struct Reader<'a> {
    rest: &'a [u8],
    json: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<(), CodecError> {
        let marker = self.marker()?;
        let is_container = matches!(
            marker,
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 | Marker::FixArray(_) | Marker::Array16 | Marker::Array32
        );
        if is_container && depth > DEPTH_MAX {
            return Err("the MessagePack of the record is nested too deep".into());
        }
        match marker {
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                let members = decode::read_map_len(&mut self.rest).map_err(damaged)?;
                self.sequence(b'{', members, b'}', |reader| reader.member(depth + 1))
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                let items = decode::read_array_len(&mut self.rest).map_err(damaged)?;
                self.sequence(b'[', items, b']', |reader| reader.value(depth + 1))
            }
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => self.string(),
            Marker::Null => {
                decode::read_nil(&mut self.rest).map_err(damaged)?;
                self.json.extend_from_slice(b"null");
                Ok(())
            }
            Marker::True | Marker::False => {
                let value = decode::read_bool(&mut self.rest).map_err(damaged)?;
                Ok(write!(self.json, "{value}")?)
            }
            Marker::FixPos(_) | Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                let value: u64 = decode::read_int(&mut self.rest).map_err(damaged)?;
                Ok(write!(self.json, "{value}")?)
            }
            Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
                let value: i64 = decode::read_int(&mut self.rest).map_err(damaged)?;
                Ok(write!(self.json, "{value}")?)
            }
            Marker::F64 => {
                let value = decode::read_f64(&mut self.rest).map_err(damaged)?;
                if !value.is_finite() {
                    return Err(damaged(()));
                }
                Ok(serde_json::to_writer(&mut self.json, &value)?)
            }
            _ => self.json_text(),
        }
    }

    fn sequence(
        &mut self,
        open: u8,
        length: u32,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        self.json.push(open);
        // Every item takes a byte at least, so that a length which is none ends at the end of the bytes.
        for index in 0..length {
            if index > 0 {
                self.json.push(b',');
            }
            item(self)?;
        }
        self.json.push(close);
        Ok(())
    }

    fn member(&mut self, depth: usize) -> Result<(), CodecError> {
        let key = self.json.len();
        self.value(depth)?;
        if self.json.get(key) != Some(&b'"') {
            return Err("a key in the MessagePack of the record is no text".into());
        }
        self.json.push(b':');
        self.value(depth)
    }

    fn string(&mut self) -> Result<(), CodecError> {
        let length = decode::read_str_len(&mut self.rest).map_err(damaged)?;
        let text = self.text(length)?;
        Ok(serde_json::to_writer(&mut self.json, text)?)
    }

    /// JSON text in an extension; anything else is nothing that was written here.
    fn json_text(&mut self) -> Result<(), CodecError> {
        let meta = decode::read_ext_meta(&mut self.rest).map_err(damaged)?;
        if meta.typeid != JSON_TEXT {
            return Err(damaged(()));
        }
        let text = self.text(meta.size)?;
        let value: &RawValue = serde_json::from_str(text).map_err(damaged)?;
        self.json.extend_from_slice(value.get().as_bytes());
        Ok(())
    }

    fn text(&mut self, length: u32) -> Result<&'a str, CodecError> {
        let (text, rest) = self.rest.split_at_checked(usize::try_from(length)?).ok_or_else(|| damaged(()))?;
        self.rest = rest;
        str::from_utf8(text).map_err(damaged)
    }

    fn marker(&self) -> Result<Marker, CodecError> {
        self.rest.first().copied().map(Marker::from_u8).ok_or_else(|| damaged(()))
    }
}

/// The cause would say where, and show what stands there.
fn damaged<E>(_: E) -> CodecError {
    "the MessagePack of the record is damaged".into()
}
