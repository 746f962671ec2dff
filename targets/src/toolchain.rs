//! The C compiler of this machine: the one impure file of this crate.

use mcv_ir::target::Level;
use mcv_ir::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags of every level. No `-ffast-math`: sums keep their order, infinities their meaning.
const FLAGS: [&str; 7] =
    ["-std=gnu11", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=fast", "-w"];
/// Text lines of a compiler's message that an error repeats.
const MESSAGE_LINES: usize = 12;

/// A C compiler that makes shared objects for this machine.
pub struct Toolchain {
    program: PathBuf,
}

impl Toolchain {
    /// Finds the compiler as `$CC`, else the system's usual one.
    ///
    /// # Errors
    /// `Unsupported` where there is none; kernels built beforehand ([`crate::stock`]) are the way out.
    pub fn find() -> Result<Toolchain> {
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let triple =
            if cfg!(target_os = "macos") { format!("{}-apple-darwin", std::env::consts::ARCH) } else { triple };
        let mut build = cc::Build::new();
        build.target(&triple).host(&triple).opt_level(3).debug(false).out_dir(std::env::temp_dir());
        build.cargo_metadata(false).cargo_warnings(false);
        let tool = build.try_get_compiler().map_err(|e| no_compiler(&e.to_string()))?;
        let found = Toolchain { program: tool.path().to_path_buf() };
        found.probe().map(|()| found)
    }

    /// The compiler's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn probe(&self) -> Result<()> {
        match Command::new(&self.program).arg("--version").output() {
            Ok(out) if out.status.success() => Ok(()),
            Ok(out) => Err(no_compiler(&format!("`{} --version` failed: {}", self.program.display(), out.status))),
            Err(e) => Err(no_compiler(&format!("`{}`: {e}", self.program.display()))),
        }
    }

    /// Compiles `source` (a level's prelude and kernels) into the shared object `out`.
    ///
    /// # Errors
    /// `Unsupported` with compiler, flags and the first lines of its message when it refuses the source or the flags.
    pub fn compile(&self, source: &str, level: &Level, out: &Path) -> Result<()> {
        self.compile_with(source, level.flags, out)
    }

    /// [`Toolchain::compile`] with the flags given one by one.
    pub fn compile_with(&self, source: &str, flags: &[&str], out: &Path) -> Result<()> {
        let folder = tempfile::tempdir()
            .map_err(|e| Error::unsupported(format!("no temporary folder for the C compiler: {e}; set TMPDIR")))?;
        let file = folder.path().join("kernels.c");
        std::fs::write(&file, source)
            .map_err(|e| Error::unsupported(format!("{}: {e}; set TMPDIR to a folder with room", file.display())))?;
        let mut command = Command::new(&self.program);
        command.args(FLAGS).args(flags).arg("-shared").arg("-o").arg(out).arg(&file).arg("-lm");
        let result = command.output().map_err(|e| no_compiler(&format!("`{}`: {e}", self.program.display())))?;
        if result.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&result.stderr);
        let head: Vec<&str> = message.lines().take(MESSAGE_LINES).collect();
        let flags = [&FLAGS, flags].concat().join(" ");
        Err(Error::unsupported(format!("{} {flags}: {}\n{}", self.program.display(), result.status, head.join("\n"))))
    }
}

fn no_compiler(reason: &str) -> Error {
    Error::unsupported(format!(
        "building kernels from source: no C compiler ({reason}); install gcc or clang or set CC, or use the stock kernels"
    ))
}
