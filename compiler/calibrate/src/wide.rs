//! The same loops, compiled for each width of vectors; one is chosen where the program runs. They give the same bits.

/// Vectors of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 32 registers of 16 floats.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 16 registers of 8 floats, fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every machine of the architecture has.
    Base,
}

/// Loops that are compiled for each instruction set: all that `run` calls is `#[inline(always)]`.
pub trait Work {
    /// What they give.
    type Result;
    /// Sums of `ROWS x COLUMNS` elements fit into registers.
    fn run<const ROWS: usize, const COLUMNS: usize>(self) -> Self::Result;
}

impl Isa {
    /// The best that there is.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            match fused && is_x86_feature_detected!("avx512f") {
                true => return Isa::Avx512,
                false if fused => return Isa::Avx2,
                false => {}
            }
        }
        Isa::Base
    }

    /// Columns of a product that are summed in registers.
    pub fn columns(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => 32,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => 16,
            Isa::Base => 8,
        }
    }

    /// Runs the loops.
    pub fn run<W: Work>(self, work: W) -> W::Result {
        match self {
            // Safety: `detect` has seen that the processor has these instructions.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { with_avx512(work) },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { with_avx2(work) },
            Isa::Base => work.run::<4, 8>(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn with_avx512<W: Work>(work: W) -> W::Result {
    work.run::<12, 32>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn with_avx2<W: Work>(work: W) -> W::Result {
    work.run::<6, 16>()
}
