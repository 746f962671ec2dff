//! C compilers: the one impure file of this crate.

use mcv_ir::target::Level;
use mcv_ir::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Shared objects that need nothing and that pages of 16 KiB, as on newer phones, take.
const LINK: [&str; 4] = ["-shared", "-nostdlib", "-Wl,-z,defs", "-Wl,-z,max-page-size=16384"];
/// Text lines of a compiler's message that an error repeats.
const MESSAGE_LINES: usize = 12;

/// A C compiler that makes shared objects of one processor family.
pub struct Toolchain {
    program: PathBuf,
    /// Flags before all others: the target of a compiler that knows several.
    first: Vec<&'static str>,
    link: &'static [&'static str],
}

impl Toolchain {
    /// Flags of every level. No `-ffast-math`: sums keep their order, infinities their meaning.
    pub const FLAGS: [&str; 8] = [
        "-std=gnu11",
        "-O3",
        "-fPIC",
        "-fvisibility=hidden",
        "-ffreestanding",
        "-fno-math-errno",
        "-ffp-contract=fast",
        "-w",
    ];

    /// Finds this machine's compiler as `$CC`, else the system's usual one.
    ///
    /// # Errors
    /// `Unsupported` where there is none; kernels built beforehand ([`crate::stock`]) are the way out.
    pub fn find() -> Result<Toolchain> {
        let (vendor, link): (_, &[&str]) = match cfg!(target_os = "macos") {
            true => ("apple-darwin", &["-shared"]),
            false => ("unknown-linux-gnu", &LINK),
        };
        let triple = format!("{}-{vendor}", std::env::consts::ARCH);
        let mut build = cc::Build::new();
        build.target(&triple).host(&triple).opt_level(3).debug(false).out_dir(std::env::temp_dir());
        build.cargo_metadata(false).cargo_warnings(false);
        let tool = build.try_get_compiler().map_err(|e| no_compiler(&e.to_string()))?;
        let found = Toolchain { program: tool.path().to_path_buf(), first: vec![], link };
        found.probe().map(|()| found).map_err(|e| no_compiler(&e))
    }

    /// Finds a compiler for a family. For the one of this machine: [`Toolchain::find`]. `aarch64`: `$MCV_CC_AARCH64`,
    /// the NDK at `$ANDROID_NDK_HOME`, `aarch64-linux-gnu-gcc`, clang with lld. `hexagon`: clang 19 or newer with lld.
    ///
    /// # Errors
    /// `Unsupported`, with what to install.
    pub fn find_for(family: &str) -> Result<Toolchain> {
        if family == native() {
            return Toolchain::find();
        }
        let candidates = match family {
            "aarch64" => arm(),
            "hexagon" => clangs(HEXAGON),
            _ => return Err(Error::unsupported(format!("no C compiler is known for processors of family {family}"))),
        };
        let mut reasons = Vec::new();
        for candidate in candidates {
            match candidate.works() {
                Ok(()) => return Ok(candidate),
                Err(reason) => reasons.push(reason),
            }
        }
        let remedy = match family {
            "aarch64" => "install gcc-aarch64-linux-gnu, or clang and lld, or set ANDROID_NDK_HOME or MCV_CC_AARCH64",
            _ => "install clang-19 and lld-19",
        };
        Err(Error::unsupported(format!(
            "building {family} kernels: no C compiler; {remedy} (tried: {})",
            reasons.join("; ")
        )))
    }

    /// The compiler's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What the compiler says of its version, in one line; its path if it says nothing.
    pub fn version(&self) -> String {
        let said = self.command().arg("--version").output().map(|o| o.stdout).unwrap_or_default();
        let first = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_string();
        if first.is_empty() { self.program.display().to_string() } else { first }
    }

    /// A command of the compiler, its target chosen; for programs beside the kernels.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.first);
        command
    }

    fn probe(&self) -> std::result::Result<(), String> {
        match self.command().arg("--version").output() {
            Ok(out) if out.status.success() => Ok(()),
            Ok(out) => Err(format!("`{} --version` failed: {}", self.program.display(), out.status)),
            Err(e) => Err(format!("`{}`: {e}", self.program.display())),
        }
    }

    /// Whether it makes a shared object: a clang may lack the linker.
    fn works(&self) -> std::result::Result<(), String> {
        self.probe()?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let made = self.compile_with("int mcv_works;", &[], &folder.path().join("works.so"));
        made.map_err(|e| e.to_string().lines().take(2).collect::<Vec<_>>().join(" "))
    }

    /// Compiles `source` (a level's prelude and kernels) into the shared object `out`, which needs no library.
    ///
    /// # Errors
    /// `Unsupported` with compiler, flags and the first lines of its message when it refuses the source or the flags.
    pub fn compile(&self, source: &str, level: &Level, out: &Path) -> Result<()> {
        self.compile_with(source, level.flags, out)
    }

    /// [`Toolchain::compile`] with the flags given one by one.
    pub fn compile_with(&self, source: &str, flags: &[&str], out: &Path) -> Result<()> {
        self.build(source, &[&Self::FLAGS, flags, self.link].concat(), out)
    }

    /// Compiles `source`, which has its own `_start`, into a program that needs no library.
    ///
    /// # Errors
    /// As [`Toolchain::compile`].
    pub fn compile_static(&self, source: &str, level: &Level, out: &Path) -> Result<()> {
        self.build(source, &[&Self::FLAGS, level.flags, &["-static", "-nostdlib", "-fno-pic"]].concat(), out)
    }

    /// Compiles `source` with exactly these flags.
    ///
    /// # Errors
    /// As [`Toolchain::compile`].
    pub fn build(&self, source: &str, flags: &[&str], out: &Path) -> Result<()> {
        let folder = tempfile::tempdir()
            .map_err(|e| Error::unsupported(format!("no temporary folder for the C compiler: {e}; set TMPDIR")))?;
        let file = folder.path().join("kernels.c");
        std::fs::write(&file, source)
            .map_err(|e| Error::unsupported(format!("{}: {e}; set TMPDIR to a folder with room", file.display())))?;
        let mut command = self.command();
        command.args(flags).arg("-o").arg(out).arg(&file);
        let result = command.output().map_err(|e| no_compiler(&format!("`{}`: {e}", self.program.display())))?;
        if result.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&result.stderr);
        let head: Vec<&str> = message.lines().take(MESSAGE_LINES).collect();
        let flags = [&self.first, flags].concat().join(" ");
        Err(Error::unsupported(format!("{} {flags}: {}\n{}", self.program.display(), result.status, head.join("\n"))))
    }
}

/// Targets of clang.
const ARM_LINUX: &[&str] = &["--target=aarch64-linux-gnu", "-fuse-ld=lld"];
const ARM_ANDROID: &[&str] = &["--target=aarch64-linux-android24"];
const HEXAGON: &[&str] = &["--target=hexagon-unknown-elf", "-fuse-ld=lld"];

/// This machine's family.
fn native() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        other => other,
    }
}

fn linux(program: impl Into<PathBuf>, first: &[&'static str]) -> Toolchain {
    Toolchain { program: program.into(), first: first.to_vec(), link: &LINK }
}

/// Versions that know every level, the system's default last.
fn clangs(first: &[&'static str]) -> Vec<Toolchain> {
    ["clang-19", "clang-20", "clang-21", "clang"].map(|name| linux(name, first)).into()
}

fn arm() -> Vec<Toolchain> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    let mut all: Vec<Toolchain> = set("MCV_CC_AARCH64").map(|program| linux(program, &[])).into_iter().collect();
    all.extend(set("ANDROID_NDK_HOME").map(ndk));
    all.push(linux("aarch64-linux-gnu-gcc", &[]));
    all.extend(clangs(ARM_LINUX));
    all
}

/// The NDK's clang on this system.
fn ndk(home: OsString) -> Toolchain {
    let host = format!("{}-x86_64", if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS });
    linux(Path::new(&home).join("toolchains/llvm/prebuilt").join(host).join("bin/clang"), ARM_ANDROID)
}

fn no_compiler(reason: &str) -> Error {
    Error::unsupported(format!(
        "building kernels from source: no C compiler ({reason}); install gcc or clang or set CC, or use the stock kernels"
    ))
}
