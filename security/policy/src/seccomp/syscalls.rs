//! System call names and numbers. A number that is not here is newer than this list, or was never
//! given out.

use super::Arch;

/// One section an architecture and one for what all have; `syscalls.txt` says how.
const TABLE: &str = include_str!("syscalls.txt");

/// All system calls of an architecture: number and name, by ascending number.
pub(super) fn numbered(arch: Arch) -> impl Iterator<Item = (u32, &'static str)> {
    let own = match arch {
        Arch::X86_64 => "[x86_64]",
        Arch::Aarch64 => "[aarch64]",
        Arch::X86 => "[x86]",
    };
    section(own).chain(section("[common]"))
}

fn section(head: &str) -> impl Iterator<Item = (u32, &'static str)> {
    let lines = TABLE.lines().skip_while(move |line| *line != head).skip(1);
    let words =
        lines.take_while(|line| !line.starts_with('[')).flat_map(str::split_ascii_whitespace);
    let mut next = 0;
    words.filter_map(move |word| match word.parse() {
        Ok(number) => {
            next = number;
            None
        }
        Err(_) => {
            next += 1;
            Some((next - 1, word))
        }
    })
}
