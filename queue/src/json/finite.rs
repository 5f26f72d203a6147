//! Whether all numbers of a payload are finite. serde_json writes the others as `null`, which reads back as something else
//! or not at all.

use serde::{
    Serialize, Serializer,
    ser::{
        Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

type Result = std::result::Result<(), serde_json::Error>;

/// Fails at the first number that is NaN or infinite.
pub(super) fn check(payload: &(impl Serialize + ?Sized)) -> Result {
    payload.serialize(Check)
}

/// Writes nothing.
struct Check;

fn float(value: f64) -> Result {
    if value.is_finite() { Ok(()) } else { Err(serde_json::Error::custom(format!("JSON has no number {value}"))) }
}

macro_rules! nothing_to_check {
    ($($method:ident($($kind:ty),*)),* $(,)?) => {
        $(fn $method(self $(, _: $kind)*) -> Result { Ok(()) })*
    };
}

macro_rules! compound {
    ($($method:ident($($kind:ty),*) -> $compound:ident),* $(,)?) => {
        $(
            type $compound = Self;
            fn $method(self $(, _: $kind)*) -> std::result::Result<Self, Self::Error> { Ok(self) }
        )*
    };
}

impl Serializer for Check {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_f32(self, value: f32) -> Result {
        float(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result {
        float(value)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result {
        value.serialize(self)
    }

    nothing_to_check! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128), serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]), serialize_none(),
        serialize_unit(), serialize_unit_struct(&'static str),
        serialize_unit_variant(&'static str, u32, &'static str),
    }

    compound! {
        serialize_seq(Option<usize>) -> SerializeSeq,
        serialize_tuple(usize) -> SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant,
        serialize_map(Option<usize>) -> SerializeMap,
        serialize_struct(&'static str, usize) -> SerializeStruct,
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant,
    }
}

macro_rules! parts {
    ($($compound:ident { $($method:ident($($name:ty)?)),* }),* $(,)?) => {
        $(impl $compound for Check {
            type Ok = ();
            type Error = serde_json::Error;
            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? value: &T) -> Result {
                value.serialize(Check)
            })*
            fn end(self) -> Result { Ok(()) }
        })*
    };
}

parts! {
    SerializeSeq { serialize_element() },
    SerializeTuple { serialize_element() },
    SerializeTupleStruct { serialize_field() },
    SerializeTupleVariant { serialize_field() },
    SerializeMap { serialize_key(), serialize_value() },
    SerializeStruct { serialize_field(&'static str) },
    SerializeStructVariant { serialize_field(&'static str) },
}
