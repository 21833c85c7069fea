//! One block of sixteen messages in the widest registers of x86-64, if the processor has them.
//!
//! The compiler does not find this by itself: of the plain code it makes shuffles of parts of registers. The one call of it is unsafe, for only the processor
//! knows whether it can; whoever holds a [`Wide`] has asked it.
#![allow(unsafe_code, reason = "whether a function may be called depends on the processor")]

/// Messages at a time.
pub(super) const LANES: usize = 16;

/// The processor has what it takes.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Wide(());

/// Other processors are not asked, so nobody has one.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy)]
pub(super) enum Wide {}

#[cfg(not(target_arch = "x86_64"))]
impl Wide {
    /// None.
    pub(super) fn find() -> Option<Self> {
        None
    }

    /// Never called.
    pub(super) fn compress(self, _: &mut super::State<LANES>, _: &super::Block<LANES>) {
        match self {}
    }
}

#[cfg(target_arch = "x86_64")]
impl Wide {
    /// Whether the processor can; it is asked once and remembered.
    pub(super) fn find() -> Option<Self> {
        std::arch::is_x86_feature_detected!("avx512f").then_some(Self(()))
    }

    /// One block of each message.
    pub(super) fn compress(self, state: &mut super::State<LANES>, block: &super::Block<LANES>) {
        // SAFETY: `self` was made by `find` alone, which has asked the processor for the feature that the function is compiled for.
        unsafe { x86::compress(state, block) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_rol_epi32, _mm512_set1_epi32,
        _mm512_storeu_si512, _mm512_ternarylogic_epi32,
    };

    use super::super::{Block, SINES, State};
    use super::LANES;

    /// Tables of what the rounds mix three bits to, in the order of RFC 1321: F, G, H and I.
    const F: i32 = 0xca;
    const G: i32 = 0xe4;
    const H: i32 = 0x96;
    const I: i32 = 0x39;

    #[target_feature(enable = "avx512f")]
    fn load(words: &[u32; LANES]) -> __m512i {
        // SAFETY: sixteen words are the 64 bytes that are read, from any address.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[target_feature(enable = "avx512f")]
    fn store(register: __m512i, words: &mut [u32; LANES]) {
        // SAFETY: sixteen words are the 64 bytes that are written, to any address.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), register) }
    }

    #[target_feature(enable = "avx512f")]
    fn step<const SHIFT: i32, const MIX: i32>(
        [a, b, c, d]: [__m512i; 4],
        word: &[u32; LANES],
        sine: u32,
    ) -> __m512i {
        let mixed = _mm512_ternarylogic_epi32::<MIX>(b, c, d);
        let added = _mm512_add_epi32(load(word), _mm512_set1_epi32(sine.cast_signed()));
        let sum = _mm512_add_epi32(_mm512_add_epi32(a, added), mixed);
        _mm512_add_epi32(b, _mm512_rol_epi32::<SHIFT>(sum))
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn compress(state: &mut State<LANES>, block: &Block<LANES>) {
        let begin = [load(&state[0]), load(&state[1]), load(&state[2]), load(&state[3])];
        let [mut a, mut b, mut c, mut d] = begin;
        // Steps go in fours, in which each word of the state has its turn.
        macro_rules! round {
            ($from:literal, $word:expr, [$s0:literal, $s1:literal, $s2:literal, $s3:literal], $mix:ident) => {
                for four in 0..4 {
                    let at = $from + four * 4;
                    let word = |step: usize| &block[$word(at + step) % 16];
                    a = step::<$s0, $mix>([a, b, c, d], word(0), SINES[at]);
                    d = step::<$s1, $mix>([d, a, b, c], word(1), SINES[at + 1]);
                    c = step::<$s2, $mix>([c, d, a, b], word(2), SINES[at + 2]);
                    b = step::<$s3, $mix>([b, c, d, a], word(3), SINES[at + 3]);
                }
            };
        }
        round!(0, |at: usize| at, [7, 12, 17, 22], F);
        round!(16, |at: usize| at * 5 + 1, [5, 9, 14, 20], G);
        round!(32, |at: usize| at * 3 + 5, [4, 11, 16, 23], H);
        round!(48, |at: usize| at * 7, [6, 10, 15, 21], I);
        for ((words, before), more) in state.iter_mut().zip(begin).zip([a, b, c, d]) {
            store(_mm512_add_epi32(before, more), words);
        }
    }
}
