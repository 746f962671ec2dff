//! The client's half of TVM's RPC: a tracker that lends devices, a server on each that takes files and calls functions.
//!
//! Tracker: a magic number each way, then messages of a length in 4 bytes and JSON. Server: a magic number and a key each
//! way, then packets of a length in 8 bytes, a code in 4, and what it asks for; values are tagged as in [`super::abi`]. All
//! little endian.

use super::abi::tag;
use mcv_ir::{Error, Result};
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// First number of a server's stream, and of a tracker's.
const MAGIC: (i32, i32) = (0xff271, 0x2f271);
/// What both sides speak.
const VERSION: &str = "0.8.0";
/// A tracker's code of asking for a device, and of success.
const TRACKER: (i32, i64) = (4, 0);
/// A server's codes: begin, call, its answers, look-up of a function by name.
const BEGIN: i32 = 2;
const CALL: i32 = 3;
const RETURN: i32 = 4;
const EXCEPTION: i32 = 5;
const FIND: i32 = 9;
/// Tag of bytes in an answer.
const BYTES_RETURNED: i32 = 9;
/// Longest answer that is read.
const MOST: u64 = 256 << 20;
/// Longest message of a tracker that is read.
const MOST_JSON: i32 = 1 << 20;

/// A value that is sent or comes back.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    None,
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A module there.
    Module(u64),
    /// A function there.
    Function(u64),
}

/// A device that was lent; it goes back when this is dropped.
pub struct Session {
    stream: TcpStream,
    peer: String,
}

impl Session {
    /// Waits until the tracker at `address` lends a device with that key, and begins a session there.
    ///
    /// # Errors
    /// Nobody is there, it is no tracker, or the device is gone.
    pub fn lent(address: &str, key: &str) -> Result<Self> {
        let failed = |e: std::io::Error| Error::input(format!("TVM's tracker at {address}: {e}"));
        let odd = |what: &str| Error::input(format!("TVM's tracker at {address}: {what}"));
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream.write_all(&MAGIC.1.to_le_bytes()).map_err(failed)?;
        if number(&mut stream).map_err(failed)? != MAGIC.1 {
            return Err(odd("it is no tracker"));
        }
        let text = json!([TRACKER.0, key, "", 1]).to_string();
        let message = [&(text.len() as i32).to_le_bytes()[..], text.as_bytes()].concat();
        stream.write_all(&message).map_err(failed)?;
        let length = number(&mut stream).map_err(failed)?;
        if !(0..=MOST_JSON).contains(&length) {
            return Err(odd("an answer without an end"));
        }
        let mut answer = vec![0; length as usize];
        stream.read_exact(&mut answer).map_err(failed)?;
        let answer: Json = serde_json::from_slice(&answer).map_err(|e| odd(&e.to_string()))?;
        let device =
            || Some((answer[1][0].as_str()?, u16::try_from(answer[1][1].as_u64()?).ok()?, answer[1][2].as_str()?));
        match device().filter(|_| answer[0].as_i64() == Some(TRACKER.1)) {
            Some((host, port, ticket)) => Self::begin(&format!("{host}:{port}"), ticket),
            None => Err(odd(&format!("it lends no {key}: {answer}"))),
        }
    }

    /// Begins a session with a server; `key` is the tracker's ticket, or the server's own key.
    ///
    /// # Errors
    /// Nobody is there, it is no server, or expects another key.
    pub fn begin(address: &str, key: &str) -> Result<Self> {
        let failed = |e: std::io::Error| Error::input(format!("TVM's server at {address}: {e}"));
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        let key = format!("client:{key}");
        let head = [&MAGIC.0.to_le_bytes()[..], &(key.len() as i32).to_le_bytes(), key.as_bytes()].concat();
        stream.write_all(&head).map_err(failed)?;
        match number(&mut stream).map_err(failed)? - MAGIC.0 {
            0 => {}
            2 => return Err(Error::input(format!("TVM's server at {address} expects another key"))),
            _ => return Err(Error::input(format!("{address} is no server of TVM's RPC"))),
        }
        let length = number(&mut stream).map_err(failed)?.clamp(0, MOST_JSON);
        stream.read_exact(&mut vec![0; length as usize]).map_err(failed)?;
        let mut session = Session { stream, peer: address.to_owned() };
        let body = [&(VERSION.len() as u64).to_le_bytes()[..], VERSION.as_bytes(), &0i32.to_le_bytes()].concat();
        session.ask(BEGIN, &body)?;
        Ok(session)
    }

    /// A function that the server knows by name.
    ///
    /// # Errors
    /// It knows none of that name, or is gone.
    pub fn function(&mut self, name: &str) -> Result<Value> {
        match self.ask(FIND, &packed(&[Value::Text(name.into())]))? {
            Value::Function(0) | Value::None => Err(self.odd(&format!("it has no function {name}"))),
            found => Ok(found),
        }
    }

    /// Calls a function there.
    ///
    /// # Errors
    /// What it raised, or it is gone.
    pub fn call(&mut self, function: &Value, args: &[Value]) -> Result<Value> {
        let Value::Function(handle) = function else { return Err(Error::bug("a call of what is no function")) };
        self.ask(CALL, &[&handle.to_le_bytes()[..], &packed(args)].concat())
    }

    /// Copies a file into the session's folder there, without holding it in memory here.
    ///
    /// # Errors
    /// It can't be read, or the server has no room.
    pub fn upload(&mut self, file: &Path, name: &str) -> Result<()> {
        let failed = |e: std::io::Error| Error::input(format!("{}: {e}", file.display()));
        let mut content = std::fs::File::open(file).map_err(failed)?;
        let size = content.metadata().map_err(failed)?.len();
        let Value::Function(upload) = self.function("tvm.rpc.server.upload")? else {
            return Err(self.odd("its upload is no function"));
        };
        // The last value's bytes follow their length.
        let mut head = [&CALL.to_le_bytes()[..], &upload.to_le_bytes(), &2i32.to_le_bytes()].concat();
        put(&mut head, &Value::Text(name.into()));
        head.extend([tag::BYTES.to_le_bytes(), tag::BYTES.to_le_bytes()].concat());
        head.extend(size.to_le_bytes());
        let gone = gone(&self.peer);
        self.stream.write_all(&(head.len() as u64 + size).to_le_bytes()).map_err(&gone)?;
        self.stream.write_all(&head).map_err(&gone)?;
        let sent = std::io::copy(&mut Read::by_ref(&mut content).take(size), &mut self.stream).map_err(&gone)?;
        if sent != size {
            return Err(Error::input(format!("{} became shorter while it was read", file.display())));
        }
        self.answer().map(|_| ())
    }

    /// A file of the session's folder there.
    ///
    /// # Errors
    /// There is none.
    pub fn download(&mut self, name: &str) -> Result<Vec<u8>> {
        let download = self.function("tvm.rpc.server.download")?;
        match self.call(&download, &[Value::Text(name.into())])? {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(self.odd(&format!("{name} is {other:?}, no bytes"))),
        }
    }

    /// A function of a shared object that was uploaded.
    ///
    /// # Errors
    /// It can't be loaded, or has no such function.
    pub fn loaded(&mut self, object: &str, function: &str) -> Result<Value> {
        let load = self.function("tvm.rpc.server.load_module")?;
        let module = self.call(&load, &[Value::Text(object.into())])?;
        let get = self.function("tvm.rpc.server.ModuleGetFunction")?;
        self.call(&get, &[module, Value::Text(function.into()), Value::Int(0)])
    }

    fn ask(&mut self, code: i32, body: &[u8]) -> Result<Value> {
        let gone = gone(&self.peer);
        let head = [&(body.len() as u64 + 4).to_le_bytes()[..], &code.to_le_bytes()].concat();
        self.stream.write_all(&[&head, body].concat()).map_err(gone)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        let gone = gone(&self.peer);
        let mut length = [0; 8];
        self.stream.read_exact(&mut length).map_err(&gone)?;
        let length = u64::from_le_bytes(length);
        if length > MOST {
            return Err(self.odd(&format!("an answer of {length} bytes")));
        }
        let mut packet = vec![0; length as usize];
        self.stream.read_exact(&mut packet).map_err(&gone)?;
        let (code, values) = read(&packet).ok_or_else(|| self.odd("an answer that can't be read"))?;
        match (code, values.last()) {
            (RETURN, value) => Ok(value.cloned().unwrap_or(Value::None)),
            (EXCEPTION, Some(Value::Text(why))) => Err(self.odd(why)),
            _ => Err(self.odd(&format!("an answer with code {code}"))),
        }
    }

    fn odd(&self, what: &str) -> Error {
        Error::input(format!("TVM's server at {}: {what}", self.peer))
    }
}

fn gone(peer: &str) -> impl Fn(std::io::Error) -> Error + use<> {
    let peer = peer.to_owned();
    move |e| Error::unsupported(format!("TVM's server at {peer}: {e}"))
}

fn number(stream: &mut TcpStream) -> std::io::Result<i32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(i32::from_le_bytes(bytes))
}

fn packed(values: &[Value]) -> Vec<u8> {
    let mut to = (values.len() as i32).to_le_bytes().to_vec();
    values.iter().for_each(|value| put(&mut to, value));
    to
}

fn put(to: &mut Vec<u8>, value: &Value) {
    let mut say = |tag: i32, parts: &[&[u8]]| {
        to.extend(tag.to_le_bytes());
        parts.iter().for_each(|part| to.extend(*part));
    };
    match value {
        Value::None => say(tag::NONE, &[]),
        Value::Int(n) => say(tag::INT, &[&n.to_le_bytes()]),
        Value::Float(x) => say(tag::FLOAT, &[&x.to_le_bytes()]),
        Value::Text(text) => say(tag::TEXT, &[&(text.len() as u64).to_le_bytes(), text.as_bytes()]),
        Value::Bytes(bytes) => {
            say(tag::BYTES, &[&tag::BYTES.to_le_bytes(), &(bytes.len() as u64).to_le_bytes(), bytes]);
        }
        Value::Module(handle) => say(tag::MODULE, &[&handle.to_le_bytes()]),
        Value::Function(handle) => say(tag::FUNCTION, &[&handle.to_le_bytes()]),
    }
}

/// Code and values of a packet; handles are told apart by the number before them, and are functions without.
fn read(packet: &[u8]) -> Option<(i32, Vec<Value>)> {
    let mut left = packet;
    let mut take = |count: usize| -> Option<&[u8]> {
        let (head, tail) = left.split_at_checked(count)?;
        left = tail;
        Some(head)
    };
    let word = |bytes: &[u8]| Some(i32::from_le_bytes(bytes.try_into().ok()?));
    let long = |bytes: &[u8]| Some(u64::from_le_bytes(bytes.try_into().ok()?));
    let code = word(take(4)?)?;
    let (count, mut values) = (word(take(4)?)?, Vec::new());
    for _ in 0..count {
        let value = match word(take(4)?)? {
            tag::NONE => Value::None,
            tag::INT => Value::Int(long(take(8)?)? as i64),
            tag::FLOAT => Value::Float(f64::from_bits(long(take(8)?)?)),
            tag::HANDLE => match (long(take(8)?)?, values.last()) {
                (handle, Some(Value::Int(kind))) if *kind == i64::from(tag::MODULE) => Value::Module(handle),
                (handle, _) => Value::Function(handle),
            },
            text @ (tag::TEXT | BYTES_RETURNED) => {
                let length = usize::try_from(long(take(8)?)?).ok()?;
                let bytes = take(length)?.to_vec();
                if text == tag::TEXT { Value::Text(String::from_utf8(bytes).ok()?) } else { Value::Bytes(bytes) }
            }
            _ => return None,
        };
        values.push(value);
    }
    Some((code, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_cut_ones_refused() {
        let mut packet = RETURN.to_le_bytes().to_vec();
        let handle = [&tag::HANDLE.to_le_bytes()[..], &77u64.to_le_bytes()].concat();
        packet.extend([&packed(&[Value::Int(73), Value::Text("é".into())])[..], &handle].concat());
        packet[4] = 3;
        let wanted = vec![Value::Int(73), Value::Text("é".into()), Value::Function(77)];
        assert_eq!(read(&packet), Some((RETURN, wanted)));
        assert!((0..packet.len()).all(|n| read(&packet[..n]).is_none()));
        packet[8] = 99;
        assert_eq!(read(&packet), None);
        let mut endless = packed(&[Value::Text("text".into())]);
        endless[8..16].fill(0xff);
        assert_eq!(read(&[&RETURN.to_le_bytes()[..], &endless].concat()), None);
    }
}
