//! The language of nf_tables: tables, chains, sets and rules as netlink messages
//! (`linux/netfilter/nf_tables.h`). What they say is in [`crate::firewall`].

use crate::Error;
use crate::message::{Attributes, Batch};
use crate::socket::Socket;
use crate::uapi::{nf, nl};

/// Elements in one message: a nested attribute has at most 65,535 bytes, an element 44.
const ELEMENTS_A_MESSAGE: usize = 1000;

/// For nft(8), which shows names wrongly without: `NFTNL_UDATA_SET_KEYBYTEORDER`, 4 bytes,
/// `BYTEORDER_HOST_ENDIAN` (libnftnl's `udata.h`, nftables' `datatype.h`).
const KEY_IN_HOST_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

/// One change of the ruleset: all of it or nothing.
#[derive(Debug)]
pub(crate) struct Change {
    batch: Batch,
    sets: u32,
}

/// Where a table is: its family (`NFPROTO_*`) and name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) family: u8,
    pub(crate) name: &'a str,
}

/// A chain that the kernel calls at a hook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BaseChain<'a> {
    pub(crate) name: &'a str,
    /// `filter` or `nat`.
    pub(crate) kind: &'a str,
    /// `NF_INET_*` or `NF_NETDEV_*`.
    pub(crate) hook: u32,
    pub(crate) priority: u32,
    /// What becomes of a packet that no rule decides: `NF_ACCEPT` or `NF_DROP`.
    pub(crate) policy: u32,
    /// For family netdev. The kernel removes the chain with the interface.
    pub(crate) device: Option<&'a str>,
}

/// A step of a rule. All but the last go on to the next if the packet matches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Load `NFT_META_*` (16 bytes at most).
    Meta(u32),
    /// Load `NFT_META_*` behind what [`Step::Meta`] loaded.
    AndMeta(u32),
    /// Load bytes of the packet: `NFT_PAYLOAD_*` base, offset, length.
    Payload(u32, u32, u32),
    /// The connection's state is one of these `CT_*`.
    State(u32),
    /// What was loaded is this.
    Is(&'a [u8]),
    /// What was loaded is not this.
    IsNot(&'a [u8]),
    /// What was loaded is an element.
    In(&'a str),
    /// What was loaded is not an element.
    NotIn(&'a str),
    /// `NF_ACCEPT` or `NF_DROP`.
    Verdict(u32),
    /// Translate the source address to that of the outgoing interface.
    Masquerade,
}

impl Change {
    pub(crate) fn new() -> Self {
        let mut change = Self { batch: Batch::default(), sets: 0 };
        change.mark(nf::NFNL_MSG_BATCH_BEGIN, 0, "nf_tables batch");
        change
    }

    /// Have the kernel do it.
    ///
    /// # Errors
    /// The first message that the kernel refuses; nothing is changed then.
    pub(crate) fn commit(mut self, socket: &mut Socket) -> Result<(), Error> {
        self.mark(nf::NFNL_MSG_BATCH_END, 0, "nf_tables batch end");
        socket.commit(&self.batch)
    }

    /// Make the table; none is made if it is there. `flags`: `NFT_TABLE_F_*`.
    pub(crate) fn table(&mut self, table: Table<'_>, flags: u32) {
        self.push(nf::NFT_MSG_NEWTABLE, nl::NLM_F_CREATE, table, "", |a| {
            a.text(nf::NFTA_TABLE_NAME, table.name);
            a.be32(nf::NFTA_TABLE_FLAGS, flags);
        });
    }

    /// Make the table, which must not be there.
    pub(crate) fn new_table(&mut self, table: Table<'_>, flags: u32) {
        self.push(nf::NFT_MSG_NEWTABLE, nl::NLM_F_CREATE | nl::NLM_F_EXCL, table, "", |a| {
            a.text(nf::NFTA_TABLE_NAME, table.name);
            a.be32(nf::NFTA_TABLE_FLAGS, flags);
        });
    }

    /// Remove the table and all in it. It must be there.
    pub(crate) fn delete_table(&mut self, table: Table<'_>) {
        self.push(nf::NFT_MSG_DELTABLE, 0, table, "", |a| a.text(nf::NFTA_TABLE_NAME, table.name));
    }

    /// Make the chain, or take the rules out of the one that is there.
    pub(crate) fn empty_chain(&mut self, table: Table<'_>, chain: BaseChain<'_>) {
        self.push(nf::NFT_MSG_NEWCHAIN, nl::NLM_F_CREATE, table, chain.name, |a| {
            a.text(nf::NFTA_CHAIN_TABLE, table.name);
            a.text(nf::NFTA_CHAIN_NAME, chain.name);
            a.nested(nf::NFTA_CHAIN_HOOK, |a| {
                a.be32(nf::NFTA_HOOK_HOOKNUM, chain.hook);
                a.be32(nf::NFTA_HOOK_PRIORITY, chain.priority);
                if let Some(device) = chain.device {
                    a.text(nf::NFTA_HOOK_DEV, device);
                }
            });
            a.be32(nf::NFTA_CHAIN_POLICY, chain.policy);
            a.text(nf::NFTA_CHAIN_TYPE, chain.kind);
        });
        self.push(nf::NFT_MSG_DELRULE, 0, table, chain.name, |a| {
            a.text(nf::NFTA_RULE_TABLE, table.name);
            a.text(nf::NFTA_RULE_CHAIN, chain.name);
        });
    }

    /// Append a rule.
    pub(crate) fn rule(&mut self, table: Table<'_>, chain: &str, steps: &[Step<'_>]) {
        let flags = nl::NLM_F_CREATE | nl::NLM_F_APPEND;
        self.push(nf::NFT_MSG_NEWRULE, flags, table, chain, |a| {
            a.text(nf::NFTA_RULE_TABLE, table.name);
            a.text(nf::NFTA_RULE_CHAIN, chain);
            a.nested(nf::NFTA_RULE_EXPRESSIONS, |a| steps.iter().for_each(|step| step.put(a)));
        });
    }

    /// Make the set, or the one that is there, hold exactly these keys. `types`: how nft(8) shows
    /// the parts of a key, each of 16 bytes.
    pub(crate) fn set(&mut self, table: Table<'_>, name: &str, types: &[u32], keys: &[Vec<u8>]) {
        self.sets += 1;
        let (id, parts) = (self.sets, u32::try_from(types.len()).unwrap_or(u32::MAX));
        self.push(nf::NFT_MSG_NEWSET, nl::NLM_F_CREATE, table, name, |a| {
            a.text(nf::NFTA_SET_TABLE, table.name);
            a.text(nf::NFTA_SET_NAME, name);
            a.be32(nf::NFTA_SET_KEY_TYPE, types.iter().fold(0, |all, part| all << 6 | part));
            a.be32(nf::NFTA_SET_KEY_LEN, parts.saturating_mul(16));
            a.be32(nf::NFTA_SET_ID, id);
            a.bytes(nf::NFTA_SET_USERDATA, &KEY_IN_HOST_ORDER);
        });
        self.push(nf::NFT_MSG_DELSETELEM, 0, table, name, |a| {
            a.text(nf::NFTA_SET_ELEM_LIST_TABLE, table.name);
            a.text(nf::NFTA_SET_ELEM_LIST_SET, name);
        });
        for keys in keys.chunks(ELEMENTS_A_MESSAGE) {
            self.push(nf::NFT_MSG_NEWSETELEM, nl::NLM_F_CREATE, table, name, |a| {
                a.text(nf::NFTA_SET_ELEM_LIST_TABLE, table.name);
                a.text(nf::NFTA_SET_ELEM_LIST_SET, name);
                a.nested(nf::NFTA_SET_ELEM_LIST_ELEMENTS, |a| {
                    for key in keys {
                        a.nested(nf::NFTA_LIST_ELEM, |a| {
                            a.nested(nf::NFTA_SET_ELEM_KEY, |a| a.bytes(nf::NFTA_DATA_VALUE, key));
                        });
                    }
                });
            });
        }
    }

    fn push(
        &mut self,
        kind: u16,
        flags: u16,
        table: Table<'_>,
        object: &str,
        fill: impl FnOnce(&mut Attributes<'_>),
    ) {
        let call = format!("{}({} {object})", verb(kind), table.name);
        let kind = nf::NFNL_SUBSYS_NFTABLES << 8 | kind;
        self.batch.push((kind, flags | nl::NLM_F_ACK), call, &nfgenmsg(table.family, 0), fill);
    }

    fn mark(&mut self, kind: u16, flags: u16, call: &str) {
        let header = nfgenmsg(0, nf::NFNL_SUBSYS_NFTABLES);
        self.batch.push((kind, flags), call, &header, |_| {});
    }
}

impl Step<'_> {
    /// Append the step as the expressions it is made of.
    fn put(&self, to: &mut Attributes<'_>) {
        match *self {
            Self::Meta(key) => load_meta(to, key, nf::NFT_REG_1),
            Self::AndMeta(key) => load_meta(to, key, nf::NFT_REG_2),
            Self::Payload(base, offset, length) => expression(to, "payload", |a| {
                a.be32(nf::NFTA_PAYLOAD_DREG, nf::NFT_REG_1);
                a.be32(nf::NFTA_PAYLOAD_BASE, base);
                a.be32(nf::NFTA_PAYLOAD_OFFSET, offset);
                a.be32(nf::NFTA_PAYLOAD_LEN, length);
            }),
            Self::State(states) => {
                expression(to, "ct", |a| {
                    a.be32(nf::NFTA_CT_DREG, nf::NFT_REG_1);
                    a.be32(nf::NFTA_CT_KEY, nf::NFT_CT_STATE);
                });
                expression(to, "bitwise", |a| {
                    a.be32(nf::NFTA_BITWISE_SREG, nf::NFT_REG_1);
                    a.be32(nf::NFTA_BITWISE_DREG, nf::NFT_REG_1);
                    a.be32(nf::NFTA_BITWISE_LEN, 4);
                    data(a, nf::NFTA_BITWISE_MASK, &states.to_ne_bytes());
                    data(a, nf::NFTA_BITWISE_XOR, &[0; 4]);
                });
                compare(to, nf::NFT_CMP_NEQ, &[0; 4]);
            }
            Self::Is(value) => compare(to, nf::NFT_CMP_EQ, value),
            Self::IsNot(value) => compare(to, nf::NFT_CMP_NEQ, value),
            Self::In(set) => lookup(to, set, 0),
            Self::NotIn(set) => lookup(to, set, nf::NFT_LOOKUP_F_INV),
            Self::Verdict(code) => expression(to, "immediate", |a| {
                a.be32(nf::NFTA_IMMEDIATE_DREG, nf::NFT_REG_VERDICT);
                a.nested(nf::NFTA_IMMEDIATE_DATA, |a| {
                    a.nested(nf::NFTA_DATA_VERDICT, |a| a.be32(nf::NFTA_VERDICT_CODE, code));
                });
            }),
            Self::Masquerade => expression(to, "masq", |_| {}),
        }
    }
}

/// Whether there is such a table.
pub(crate) fn has_table(socket: &mut Socket, table: Table<'_>) -> Result<bool, Error> {
    let tables = tables(socket)?;
    Ok(tables.iter().any(|(family, name)| *family == table.family && name == table.name))
}

/// All tables of the namespace: family and name.
pub(crate) fn tables(socket: &mut Socket) -> Result<Vec<(u8, String)>, Error> {
    let kind = nf::NFNL_SUBSYS_NFTABLES << 8;
    let mut request = Batch::default();
    let get = (kind | nf::NFT_MSG_GETTABLE, nl::NLM_F_DUMP);
    request.push(get, "NFT_MSG_GETTABLE", &nfgenmsg(0, 0), |_| {});
    socket.dump(&request, |message| {
        let (family, body) = (message.payload.first()?, message.payload.get(4..)?);
        let name =
            crate::message::attributes(body).find(|(kind, _)| *kind == nf::NFTA_TABLE_NAME)?;
        Some((*family, crate::message::text(name.1)))
    })
}

/// `struct nfgenmsg`: family, version, resource id in network byte order.
fn nfgenmsg(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn load_meta(to: &mut Attributes<'_>, key: u32, register: u32) {
    expression(to, "meta", |a| {
        a.be32(nf::NFTA_META_DREG, register);
        a.be32(nf::NFTA_META_KEY, key);
    });
}

fn compare(to: &mut Attributes<'_>, operation: u32, value: &[u8]) {
    expression(to, "cmp", |a| {
        a.be32(nf::NFTA_CMP_SREG, nf::NFT_REG_1);
        a.be32(nf::NFTA_CMP_OP, operation);
        data(a, nf::NFTA_CMP_DATA, value);
    });
}

fn lookup(to: &mut Attributes<'_>, set: &str, flags: u32) {
    expression(to, "lookup", |a| {
        a.text(nf::NFTA_LOOKUP_SET, set);
        a.be32(nf::NFTA_LOOKUP_SREG, nf::NFT_REG_1);
        a.be32(nf::NFTA_LOOKUP_FLAGS, flags);
    });
}

fn data(to: &mut Attributes<'_>, kind: u16, value: &[u8]) {
    to.nested(kind, |a| a.bytes(nf::NFTA_DATA_VALUE, value));
}

fn expression(to: &mut Attributes<'_>, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) {
    to.nested(nf::NFTA_LIST_ELEM, |a| {
        a.text(nf::NFTA_EXPR_NAME, name);
        a.nested(nf::NFTA_EXPR_DATA, fill);
    });
}

fn verb(kind: u16) -> &'static str {
    match kind {
        nf::NFT_MSG_NEWTABLE => "NFT_MSG_NEWTABLE",
        nf::NFT_MSG_DELTABLE => "NFT_MSG_DELTABLE",
        nf::NFT_MSG_NEWCHAIN => "NFT_MSG_NEWCHAIN",
        nf::NFT_MSG_NEWRULE => "NFT_MSG_NEWRULE",
        nf::NFT_MSG_DELRULE => "NFT_MSG_DELRULE",
        nf::NFT_MSG_NEWSET => "NFT_MSG_NEWSET",
        nf::NFT_MSG_NEWSETELEM => "NFT_MSG_NEWSETELEM",
        nf::NFT_MSG_DELSETELEM => "NFT_MSG_DELSETELEM",
        _ => "nf_tables",
    }
}

/// A family as nft(8) writes it.
pub(crate) fn family(family: u8) -> &'static str {
    match family {
        nf::NFPROTO_INET => "inet",
        nf::NFPROTO_NETDEV => "netdev",
        _ => "other",
    }
}
