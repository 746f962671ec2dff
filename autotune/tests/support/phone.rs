//! A stand-in for adb's server that speaks its real protocol, with a folder for a phone: the real `adb` program talks to
//! it. Requests have four hex digits of length before them (`host:version`, `host:transport:SERIAL`), `shell,v2` packets a
//! byte of kind and four of length, `sync:` requests four letters and four bytes of length. Android's adb sources:
//! OVERVIEW.TXT, SERVICES.TXT, SYNC.TXT, shell_protocol.h.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Version of the protocol between client and server: 41 in hex. Another one, and the client would start its own server.
const VERSION: &str = "0029";
/// Kinds of shell packets.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const EXIT: u8 = 3;
const CLOSE_STDIN: u8 = 4;
/// Bytes of a packet at most.
const MOST: usize = 64 << 10;

/// Phones by serial number, each a folder; what was asked of them.
pub struct Server {
    pub port: u16,
    phones: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Listens, until the test ends.
    pub fn start(phones: &Path) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Server { port, phones: phones.to_path_buf(), asked: Arc::default() };
        let (root, asked) = (server.phones.clone(), Arc::clone(&server.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, asked) = (root.clone(), Arc::clone(&asked));
                // A client that goes away is no failure.
                std::thread::spawn(move || Client { stream, root, asked, phone: PathBuf::new() }.serve());
            }
        });
        server
    }

    /// Requests that begin so.
    pub fn asked(&self, start: &str) -> usize {
        self.asked.lock().expect("no panic").iter().filter(|a| a.starts_with(start)).count()
    }
}

struct Client {
    stream: TcpStream,
    root: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    /// The chosen phone's folder.
    phone: PathBuf,
}

impl Client {
    fn serve(mut self) -> io::Result<()> {
        loop {
            let request = self.request()?;
            self.asked.lock().expect("no panic").push(request.clone());
            let transport = ["host:transport:", "host:tport:serial:"].iter().find_map(|p| request.strip_prefix(p));
            match (request.as_str(), transport) {
                ("host:version", _) => return self.answer(VERSION),
                ("host:devices" | "host:devices-l", _) => return self.answer(&self.list()),
                ("host:kill", _) => return self.stream.write_all(b"OKAY"),
                (_, Some(serial)) => self.choose(serial, request.contains("tport"))?,
                (r, _) if r.starts_with("host") && r.ends_with(":features") => return self.answer("shell_v2,cmd"),
                ("sync:", _) => return self.okay().and_then(|()| self.sync()),
                (r, _) if r.starts_with("shell,v2") => {
                    let command = r.split_once(':').map_or("", |(_, c)| c).to_string();
                    return self.okay().and_then(|()| self.shell(&command));
                }
                (other, _) => return self.fail(&format!("unknown request {other}")),
            }
        }
    }

    fn request(&mut self) -> io::Result<String> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = std::str::from_utf8(&length).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let mut text = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        self.stream.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn okay(&mut self) -> io::Result<()> {
        self.stream.write_all(b"OKAY")
    }

    fn answer(&mut self, text: &str) -> io::Result<()> {
        write!(self.stream, "OKAY{:04x}{text}", text.len())
    }

    fn fail(&mut self, why: &str) -> io::Result<()> {
        write!(self.stream, "FAIL{:04x}{why}", why.len())
    }

    fn list(&self) -> String {
        let names = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        names.map(|e| format!("{}\tdevice\n", e.file_name().to_string_lossy())).collect()
    }

    fn choose(&mut self, serial: &str, numbered: bool) -> io::Result<()> {
        self.phone = self.root.join(serial);
        if !self.phone.is_dir() {
            return self.fail(&format!("device '{serial}' not found"));
        }
        self.okay()?;
        if numbered { self.stream.write_all(&1u64.to_le_bytes()) } else { Ok(()) }
    }

    /// The place of a phone's path in its folder.
    fn place(&self, path: &str) -> PathBuf {
        self.phone.join(path.trim_start_matches('/'))
    }

    fn shell(self, command: &str) -> io::Result<()> {
        let folder = format!("{}/data/local/tmp", self.phone.display());
        let mut child = Command::new("sh")
            .args(["-c", &command.replace("/data/local/tmp", &folder)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let out = Arc::new(Mutex::new(self.stream.try_clone()?));
        let forward = |kind: u8, mut from: Box<dyn Read + Send>| {
            let out = Arc::clone(&out);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = from.read(&mut bytes) {
                    packet(&out, kind, &bytes[..n])?;
                }
                io::Result::Ok(())
            })
        };
        let outputs = [
            forward(STDOUT, Box::new(child.stdout.take().expect("piped"))),
            forward(STDERR, Box::new(child.stderr.take().expect("piped"))),
        ];
        let (mut input, stream) = (child.stdin.take(), self.stream);
        std::thread::spawn(move || receive(stream, &mut input));
        let status = child.wait()?;
        outputs.into_iter().for_each(|o| drop(o.join()));
        packet(&out, EXIT, &[status.code().unwrap_or(255) as u8])?;
        out.lock().expect("no panic").shutdown(std::net::Shutdown::Both)
    }

    fn sync(&mut self) -> io::Result<()> {
        loop {
            let (id, length) = self.head()?;
            let mut path = vec![0; length as usize];
            if &id != b"QUIT" {
                self.stream.read_exact(&mut path)?;
            }
            let path = String::from_utf8_lossy(&path).into_owned();
            match &id {
                b"STAT" => self.stat(&path)?,
                b"SEND" => self.send(&path)?,
                b"RECV" => self.recv(&path)?,
                _ => return Ok(()),
            }
        }
    }

    fn head(&mut self) -> io::Result<([u8; 4], u32)> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head)?;
        let [a, b, c, d, rest @ ..] = head;
        Ok(([a, b, c, d], u32::from_le_bytes(rest)))
    }

    fn put(&mut self, id: &[u8; 4], numbers: &[u32]) -> io::Result<()> {
        let numbers = numbers.iter().flat_map(|n| n.to_le_bytes());
        self.stream.write_all(&id.iter().copied().chain(numbers).collect::<Vec<u8>>())
    }

    /// Mode, size, time; zeros where there is nothing.
    fn stat(&mut self, path: &str) -> io::Result<()> {
        match std::fs::metadata(self.place(path)) {
            Ok(m) => self.put(b"STAT", &[m.permissions().mode(), m.len() as u32, 0]),
            Err(_) => self.put(b"STAT", &[0, 0, 0]),
        }
    }

    /// `PATH,MODE`, then `DATA` until `DONE` with a time.
    fn send(&mut self, spec: &str) -> io::Result<()> {
        let path = spec.rsplit_once(',').map_or(spec, |(path, _)| path);
        self.asked.lock().expect("no panic").push(format!("sync SEND {path}"));
        let mut bytes = vec![];
        loop {
            match self.head()? {
                (id, length) if &id == b"DATA" && length as usize <= MOST => {
                    let start = bytes.len();
                    bytes.resize(start + length as usize, 0);
                    self.stream.read_exact(&mut bytes[start..])?;
                }
                _ => break,
            }
        }
        std::fs::write(self.place(path), bytes)?;
        self.put(b"OKAY", &[0])
    }

    fn recv(&mut self, path: &str) -> io::Result<()> {
        for part in std::fs::read(self.place(path))?.chunks(MOST) {
            self.put(b"DATA", &[part.len() as u32])?;
            self.stream.write_all(part)?;
        }
        self.put(b"DONE", &[0])
    }
}

fn packet(out: &Mutex<TcpStream>, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let mut packet = vec![kind];
    packet.extend((bytes.len() as u32).to_le_bytes());
    packet.extend(bytes);
    out.lock().expect("no panic").write_all(&packet)
}

/// The client's packets, to the program's input.
fn receive(mut stream: TcpStream, input: &mut Option<std::process::ChildStdin>) -> io::Result<()> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut bytes = vec![0; (u32::from_le_bytes(length) as usize).min(MOST)];
        stream.read_exact(&mut bytes)?;
        match (kind, &mut *input) {
            (STDIN, Some(to)) => to.write_all(&bytes).and_then(|()| to.flush())?,
            (CLOSE_STDIN, _) => *input = None,
            _ => {}
        }
    }
}
