//! Writes GGUF files for tests.

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Bools(Vec<bool>),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_string())
    }
}

/// A tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Extents, rows first.
    pub shape: Vec<u64>,
    /// Number of its format.
    pub format: u32,
    /// Its numbers.
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// One number all over, in F32.
    pub fn filled(name: &str, shape: &[u64], value: f32) -> Self {
        let bytes = value.to_le_bytes().repeat(shape.iter().product::<u64>() as usize);
        Tensor { name: name.into(), shape: shape.to_vec(), format: 0, bytes }
    }
}

/// A file before it is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gguf {
    /// Keys in order.
    pub keys: Vec<(String, Value)>,
    /// Tensors in order.
    pub tensors: Vec<Tensor>,
}

/// Little-endian bytes in the making.
#[derive(Debug, Clone, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Magic, version and the two counts.
    pub fn header(version: u32, tensors: u64, keys: u64) -> Bytes {
        let mut bytes = Bytes(b"GGUF".to_vec());
        bytes.u32(version).u64(tensors).u64(keys);
        bytes
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self
    }

    /// A 32-bit number.
    pub fn u32(&mut self, n: u32) -> &mut Self {
        self.raw(&n.to_le_bytes())
    }

    /// A 64-bit number.
    pub fn u64(&mut self, n: u64) -> &mut Self {
        self.raw(&n.to_le_bytes())
    }

    /// A text behind its length.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.u64(text.len() as u64).raw(text.as_bytes())
    }

    /// A key with its value.
    pub fn key(&mut self, key: &str, value: &Value) -> &mut Self {
        self.text(key);
        match value {
            Value::U32(n) => self.u32(4).u32(*n),
            Value::I32(n) => self.u32(5).raw(&n.to_le_bytes()),
            Value::F32(x) => self.u32(6).raw(&x.to_le_bytes()),
            Value::Bool(flag) => self.u32(7).raw(&[u8::from(*flag)]),
            Value::Bools(list) => {
                self.list(7, list.len()).raw(&list.iter().map(|flag| u8::from(*flag)).collect::<Vec<_>>())
            }
            Value::Text(text) => self.u32(8).text(text),
            Value::Texts(list) => {
                self.list(8, list.len());
                list.iter().fold(self, |bytes, text| bytes.text(text))
            }
            Value::I32s(list) => {
                self.list(5, list.len()).raw(&list.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>())
            }
            Value::F32s(list) => {
                self.list(6, list.len()).raw(&list.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
            }
        }
    }

    /// The beginning of a list.
    pub fn list(&mut self, kind: u32, count: usize) -> &mut Self {
        self.u32(9).u32(kind).u64(count as u64)
    }

    /// What the header says of a tensor; extents rows first.
    pub fn tensor(&mut self, name: &str, shape: &[u64], format: u32, offset: u64) -> &mut Self {
        self.text(name).u32(shape.len() as u32);
        shape.iter().rev().fold(self, |bytes, n| bytes.u64(*n)).u32(format).u64(offset)
    }

    /// Zeros up to a multiple of `alignment`.
    pub fn pad(&mut self, alignment: usize) -> &mut Self {
        self.0.resize(self.0.len().next_multiple_of(alignment), 0);
        self
    }
}

impl Gguf {
    /// The key's place.
    pub fn key(&mut self, key: &str) -> Option<&mut Value> {
        self.keys.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.retain(|(k, _)| k != key);
        self.keys.push((key.to_string(), value.into()));
    }

    /// Puts another tensor where the one of its name is.
    pub fn replace(&mut self, tensor: Tensor) {
        let place = self.tensors.iter_mut().find(|t| t.name == tensor.name).expect("the tensor");
        *place = tensor;
    }

    /// The whole file, version 3.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Bytes::header(3, self.tensors.len() as u64, self.keys.len() as u64);
        for (key, value) in &self.keys {
            out.key(key, value);
        }
        let mut offset = 0;
        for t in &self.tensors {
            out.tensor(&t.name, &t.shape, t.format, offset);
            offset = (offset + t.bytes.len() as u64).next_multiple_of(32);
        }
        out.pad(32);
        for t in &self.tensors {
            out.raw(&t.bytes).pad(32);
        }
        out.0
    }
}
