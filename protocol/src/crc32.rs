//! CRC-32 (IEEE 802.3, check value cbf43926) of chunks, states and recordings: by the fast crate and
//! its tables of 16 KiB under an operating system, by one table of 1 KiB where flash is scarce.

#[cfg(target_os = "none")]
mod imp {
    static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

    pub(super) struct State(crc::Digest<'static, u32>);

    impl State {
        pub(super) fn new() -> Self {
            Self(CRC.digest())
        }

        pub(super) fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(super) fn finish(self) -> u32 {
            self.0.finalize()
        }
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    pub(super) struct State(crc32fast::Hasher);

    impl State {
        pub(super) fn new() -> Self {
            Self(crc32fast::Hasher::new())
        }

        pub(super) fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(super) fn finish(self) -> u32 {
            self.0.finalize()
        }
    }
}

/// The CRC-32 of `parts`, one after the other.
pub fn of(parts: &[&[u8]]) -> u32 {
    let mut state = imp::State::new();
    parts.iter().for_each(|part| state.update(part));
    state.finish()
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_crates_give_the_check_value() {
        assert_eq!(super::of(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
        let small = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        assert_eq!(small.checksum(b"123456789"), 0xcbf4_3926);
    }
}
