//! The flags of the commands on images.

use super::{FORMAT, LIST_FORMAT};
use crate::flags::{Flag, Kind};

/// Of `images`.
pub(super) const IMAGES: &[Flag] = &[
    Flag::short('a', "all", Kind::Bool, "Show all images (default hides intermediate images)"),
    Flag::long("digests", Kind::Bool, "Show digests"),
    Flag::short('f', "filter", Kind::Filter, "Filter output based on conditions provided"),
    Flag::long("format", Kind::Text, LIST_FORMAT),
    Flag::long("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::short('q', "quiet", Kind::Bool, "Only show image IDs"),
    Flag::long("tree", Kind::Bool, "List multi-platform images as a tree (EXPERIMENTAL)"),
];

/// Of `rmi`.
pub(super) const RMI: &[Flag] = &[
    Flag::short('f', "force", Kind::Bool, "Force removal of the image"),
    Flag::long("no-prune", Kind::Bool, "Do not delete untagged parents"),
    Flag::long(
        "platform",
        Kind::Texts,
        "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
];

/// Of `history`.
pub(super) const HISTORY: &[Flag] = &[
    Flag::long("format", Kind::Text, LIST_FORMAT),
    Flag::short(
        'H',
        "human",
        Kind::Bool,
        "Print sizes and dates in human readable format (default true)",
    ),
    Flag::long("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::long(
        "platform",
        Kind::Text,
        "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::short('q', "quiet", Kind::Bool, "Only show image IDs"),
];

/// Of `import`.
pub(super) const IMPORT: &[Flag] = &[
    Flag::short('c', "change", Kind::List, "Apply Dockerfile instruction to the created image"),
    Flag::short('m', "message", Kind::Text, "Set commit message for imported image"),
    Flag::long("platform", Kind::Text, "Set platform if server is multi-platform capable"),
];

/// Of `load`.
pub(super) const LOAD: &[Flag] = &[
    Flag::short('i', "input", Kind::Text, "Read from tar archive file, instead of STDIN"),
    Flag::long(
        "platform",
        Kind::Text,
        "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::short('q', "quiet", Kind::Bool, "Suppress the load output"),
];

/// Of `image inspect`.
pub(super) const INSPECT: &[Flag] = &[
    Flag::short('f', "format", Kind::Text, FORMAT),
    Flag::long(
        "platform",
        Kind::Text,
        "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    ),
];

/// Of `image prune`.
pub(super) const PRUNE: &[Flag] = &[
    Flag::short('a', "all", Kind::Bool, "Remove all unused images, not just dangling ones"),
    Flag::long("filter", Kind::Filter, "Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::short('f', "force", Kind::Bool, "Do not prompt for confirmation"),
];

/// Of `pull`.
pub(super) const PULL: &[Flag] = &[
    Flag::short('a', "all-tags", Kind::Bool, "Download all tagged images in the repository"),
    Flag::long("disable-content-trust", Kind::Bool, "Skip image verification (default true)"),
    Flag::long("platform", Kind::Text, "Set platform if server is multi-platform capable"),
    Flag::short('q', "quiet", Kind::Bool, "Suppress verbose output"),
];
