//! What the process does with memory that it has freed.

use std::hint::black_box;

/// Freed memory up to twice this stays in each of the allocator's arenas: some answers of a few
/// hundred KiB. A larger piece that is freed later raises it, as far as 32 MiB.
const KEPT: usize = 4 * 1024 * 1024;

/// Has the allocator keep what answers need, instead of asking the kernel for it each time.
///
/// An answer of 256 KiB takes three buffers of its size on its way. glibc gives so much memory back
/// at once, and every page of the next answer is a page fault again: a third of what such a call
/// cost. It learns otherwise from the first larger piece that is freed (mallopt(3),
/// `M_MMAP_THRESHOLD`), so one is, before there is a scan that would teach it. Nobody touches the
/// piece: it is never resident. Another allocator takes no notice.
pub(crate) fn keep_what_answers_need() {
    drop(black_box(Vec::<u8>::with_capacity(KEPT)));
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::{UsageWho, getrusage};

    use super::*;

    const ROUNDS: i64 = 100;
    /// 256 KiB in base64.
    const BUFFER: usize = 350_000;
    const PAGE: i64 = 4096;

    fn page_faults() -> i64 {
        getrusage(UsageWho::RUSAGE_THREAD)
            .unwrap()
            .minor_page_faults()
    }

    fn answer() {
        black_box([(); 3].map(|()| black_box(vec![0x5a_u8; BUFFER])));
    }

    #[test]
    fn the_buffers_of_one_answer_serve_the_next() {
        keep_what_answers_need();
        answer();
        let before = page_faults();
        (0..ROUNDS).for_each(|_| answer());
        let faults = page_faults() - before;
        let pages_of_one = 3 * i64::try_from(BUFFER).unwrap() / PAGE;
        assert!(
            faults < 3 * pages_of_one,
            "{faults} page faults for {ROUNDS} answers of {pages_of_one} pages"
        );
    }
}
