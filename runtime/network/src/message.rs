//! Netlink messages as bytes: making and reading them (netlink(7), `linux/netlink.h`).

use crate::uapi::nl;

/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const HEADER_BYTES: usize = 16;

/// Requests that go to the kernel by one sendmsg(2), each with words for its error.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// What each message is, by its sequence number (the first is 0).
    pub(crate) calls: Vec<String>,
    /// This errno counts as success.
    pub(crate) tolerate: Option<i32>,
    /// A length did not fit its field. Such a batch must not be sent.
    pub(crate) overflow: bool,
}

impl Batch {
    /// Append a message with a fixed `header` and the attributes that `fill` adds.
    pub(crate) fn push(
        &mut self,
        (kind, flags): (u16, u16),
        call: impl Into<String>,
        header: &[u8],
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        let start = self.bytes.len();
        let sequence = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | nl::NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(header);
        pad(&mut self.bytes);
        fill(&mut Attributes { bytes: &mut self.bytes, overflow: &mut self.overflow });
        let length = u32::try_from(self.bytes.len() - start).unwrap_or_else(|_| {
            self.overflow = true;
            0
        });
        if let Some(field) = self.bytes.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.calls.push(call.into());
    }
}

/// Where attributes (`struct nlattr`: length, type, value, padding to 4) are appended.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
    overflow: &'a mut bool,
}

impl Attributes<'_> {
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.measured(kind, |to| to.bytes.extend_from_slice(value));
    }

    /// With the terminating NUL that the kernel's strings have.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.measured(kind, |to| {
            to.bytes.extend_from_slice(value.as_bytes());
            to.bytes.push(0);
        });
    }

    /// As rtnetlink has numbers: in the machine's byte order.
    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// As nf_tables has numbers: in network byte order.
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.measured(kind | nl::NLA_F_NESTED, fill);
    }

    /// A struct that is neither attribute nor message header, inside a nested attribute
    /// (`VETH_INFO_PEER` begins with a `struct ifinfomsg`).
    pub(crate) fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        pad(self.bytes);
    }

    fn measured(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        fill(&mut Attributes { bytes: self.bytes, overflow: self.overflow });
        let length = u16::try_from(self.bytes.len() - start).unwrap_or_else(|_| {
            *self.overflow = true;
            0
        });
        if let Some(field) = self.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        pad(self.bytes);
    }
}

/// A message from the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

/// The messages of one datagram; ends at the first that does not fit its length.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes, 0)?).ok()?;
        let payload = bytes.get(HEADER_BYTES..length)?;
        let message = Message {
            kind: short(bytes, 4)?,
            flags: short(bytes, 6)?,
            sequence: number(bytes, 8)?,
            payload,
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Attributes by type, without nesting and byte-order bits.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes, 0)?);
        let attribute = (short(bytes, 2)? & nl::NLA_TYPE_MASK, bytes.get(4..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(attribute)
    })
}

/// What the kernel says of one request: `struct nlmsgerr`, then attributes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// 0: done.
    pub(crate) errno: i32,
    pub(crate) explanation: Option<String>,
}

/// Read an `NLMSG_ERROR` or the end of a dump; none if it is neither.
pub(crate) fn outcome(message: &Message<'_>) -> Option<Outcome> {
    let errno = number(message.payload, 0)?.cast_signed().checked_neg()?;
    let skip = match message.kind {
        nl::NLMSG_ERROR if message.flags & nl::NLM_F_CAPPED != 0 => 4 + HEADER_BYTES,
        nl::NLMSG_ERROR => 4 + usize::try_from(number(message.payload, 4)?).ok()?,
        nl::NLMSG_DONE => 4,
        _ => return None,
    };
    let words = message.payload.get(skip.next_multiple_of(4)..).unwrap_or_default();
    let explanation = (message.flags & nl::NLM_F_ACK_TLVS != 0)
        .then(|| attributes(words).find(|(kind, _)| *kind == nl::NLMSGERR_ATTR_MSG))
        .flatten()
        .map(|(_, value)| text(value));
    Some(Outcome { errno, explanation })
}

/// A string attribute's value up to its NUL.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// Four bytes at an offset, in the machine's byte order.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut batch = Batch::default();
        batch.push((16, nl::NLM_F_ACK), "first", &[1, 2, 3], |a| {
            a.text(3, "eth0");
            a.nested(18, |a| a.u32(1, 7));
        });
        batch.push((17, 0), "second", &[], |_| {});

        let read: Vec<_> = messages(&batch.bytes).collect();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (16, 5, 0));
        assert_eq!((read[1].kind, read[1].flags, read[1].sequence), (17, 1, 1));
        let read: Vec<_> = attributes(&read[0].payload[4..]).collect();
        assert_eq!(read[0], (3, &b"eth0\0"[..]));
        assert_eq!(attributes(read[1].1).collect::<Vec<_>>(), [(1, &7_u32.to_ne_bytes()[..])]);
    }

    #[test]
    fn a_length_beyond_its_field_is_never_sent() {
        let mut batch = Batch::default();
        batch.push((16, 0), "long", &[], |a| a.nested(1, |a| a.bytes(2, &[0; 65_532])));
        assert!(batch.overflow);
    }

    #[test]
    fn cut_messages_end_the_reading() {
        let mut batch = Batch::default();
        batch.push((16, 0), "one", &[], |a| a.u32(1, 7));
        for length in 0..batch.bytes.len() {
            assert_eq!(messages(&batch.bytes[..length]).count(), 0);
        }
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0, "a length below the header's");
        assert_eq!(messages(&[0; 16]).count(), 0, "a length below the header's");
    }
}
