//! One item of `--data`: which data partition is wanted, and how large.

use std::fmt;
use std::str::FromStr;

use super::entry::Label;
use super::keyword;
use super::kind::Kind;
use super::size::{NotASize, Size};
use super::text;

/// Erase unit of flash: what sizes of data partitions are multiples of.
const SECTOR: u64 = 0x1000;

/// Type byte of data partitions.
const DATA: u8 = 0x01;

/// Names that stand for a subtype beside ESP-IDF's own words, because its tables use them.
const NAMES: [(&str, Kind); 4] = [
    ("otadata", Kind::OTADATA),
    ("phy_init", Kind { ty: DATA, subtype: 0x01 }),
    ("nvs_key", Kind::NVS_KEYS),
    ("ffat", Kind { ty: DATA, subtype: 0x81 }),
];

/// How large a data partition is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// This many bytes.
    Bytes(u32),
    /// Whatever the others leave.
    Rest,
}

/// A data partition that is wanted: `nvs=24K`, `storage:littlefs=rest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRequest {
    /// Its name.
    pub name: String,
    /// Its type and subtype.
    pub kind: Kind,
    /// Its size.
    pub room: Room,
}

/// The text asks for no data partition that could be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DataRequestError {
    /// No `=`.
    #[error("`{0}` has no size: write `{0}=64K` or `{0}=rest`")]
    NoSize(String),
    /// The size is none.
    #[error(transparent)]
    Size(#[from] NotASize),
    /// Flash is erased in sectors.
    #[error("`{name}` cannot have {size:#x} bytes: write `{name}={up}`, a multiple of 4K")]
    Sectors {
        /// The partition.
        name: String,
        /// What was asked for.
        size: u64,
        /// The next larger size that can be.
        up: Size,
    },
    /// The kind has one size only.
    #[error("`{name}` always has {size} ({:#x} bytes): write `{name}={size}`", size.0)]
    Fixed {
        /// The partition.
        name: String,
        /// The size.
        size: Size,
    },
    /// The name is not a subtype, and none is given.
    #[error("`{word}` is no subtype of data{}: write `{name}:SUBTYPE=SIZE` with one of {}", meant(.nearest), words())]
    Subtype {
        /// The name.
        name: String,
        /// What should be a subtype.
        word: String,
        /// The one that was likely meant.
        nearest: Option<&'static str>,
    },
    /// The name cannot be kept.
    #[error("`{0}` cannot be a name: write 1 to {most} ASCII letters, digits, `_`, `-` or `.`", most = Label::SIZE)]
    Name(String),
}

fn meant(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |word| format!(", did you mean `{word}`"))
}

fn words() -> String {
    let words: Vec<_> = keyword::subtypes(DATA).iter().map(|(word, _)| *word).collect();
    words.join(", ")
}

impl FromStr for DataRequest {
    type Err = DataRequestError;

    fn from_str(typed: &str) -> Result<Self, DataRequestError> {
        let quote = |text: &str| text::quote(text).into_owned();
        let (left, size) =
            typed.split_once('=').ok_or_else(|| DataRequestError::NoSize(quote(typed.trim())))?;
        let (name, word) = match left.split_once(':') {
            Some((name, word)) => (name.trim(), word.trim()),
            None => (left.trim(), left.trim()),
        };
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if name.is_empty() || name.len() > Label::SIZE || !name.chars().all(is_letter) {
            return Err(DataRequestError::Name(quote(name)));
        }
        let kind = kind(word).ok_or_else(|| DataRequestError::Subtype {
            name: name.to_owned(),
            word: quote(word),
            nearest: keyword::nearest(keyword::subtypes(DATA), word),
        })?;
        let room = room(name, kind, size.trim())?;
        // The names that ESP-IDF's own tables give to these two.
        let name = match name {
            "ota" if kind == Kind::OTADATA => "otadata",
            "phy" => "phy_init",
            other => other,
        };
        Ok(Self { name: name.to_owned(), kind, room })
    }
}

fn kind(word: &str) -> Option<Kind> {
    let own = NAMES.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind);
    let subtype = || keyword::code(keyword::subtypes(DATA), word);
    own.or_else(|| subtype().map(|subtype| Kind { ty: DATA, subtype }))
}

fn room(name: &str, kind: Kind, size: &str) -> Result<Room, DataRequestError> {
    let only = match kind {
        Kind::OTADATA | Kind::TEE_OTADATA => Some(Size(0x2000)),
        Kind::NVS_KEYS => Some(Size(0x1000)),
        _ => None,
    };
    let rest = size.eq_ignore_ascii_case("rest");
    let bytes = if rest { None } else { Some(size.parse::<Size>()?) };
    if let Some(size) = only
        && bytes != Some(size)
    {
        return Err(DataRequestError::Fixed { name: name.to_owned(), size });
    }
    let Some(Size(bytes)) = bytes else { return Ok(Room::Rest) };
    let up = bytes.max(1).next_multiple_of(SECTOR);
    match u32::try_from(bytes) {
        Ok(bytes) if up == u64::from(bytes) => Ok(Room::Bytes(bytes)),
        _ => Err(DataRequestError::Sectors { name: name.to_owned(), size: bytes, up: Size(up) }),
    }
}

impl fmt::Display for DataRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}=", self.name, self.kind.subtype_text())?;
        match self.room {
            Room::Bytes(bytes) => write!(f, "{}", Size(bytes.into())),
            Room::Rest => f.write_str("rest"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<DataRequest>().map_or_else(|error| error.to_string(), |it| it.to_string())
    }

    #[test]
    fn a_subtype_is_its_own_name_unless_another_is_given() {
        for (typed, meaning) in [
            ("nvs=24K", "nvs:nvs=24K"),
            ("spiffs=rest", "spiffs:spiffs=rest"),
            ("storage:littlefs=1M", "storage:littlefs=1M"),
            ("phy=0x1000", "phy_init:phy=4K"),
            ("phy_init=4K", "phy_init:phy=4K"),
            ("ffat=REST", "ffat:fat=rest"),
            ("ota=8K", "otadata:ota=8K"),
            ("nvs_keys = 4K", "nvs_keys:nvs_keys=4K"),
            ("sixteen_letters_:undefined=4K", "sixteen_letters_:undefined=4K"),
        ] {
            assert_eq!(read(typed), meaning);
        }
    }

    #[test]
    fn what_cannot_be_is_told_what_to_type_instead() {
        for (typed, told) in [
            ("nvs", "write `nvs=64K`"),
            ("nvs=big", "`big` is not a size"),
            ("nvs=5000", "write `nvs=8K`, a multiple of 4K"),
            ("nvs=0", "write `nvs=4K`"),
            ("nvs=-4K", "not a size"),
            ("otadata=4K", "write `otadata=8K`"),
            ("otadata=rest", "write `otadata=8K`"),
            ("nvs_keys=8K", "write `nvs_keys=4K`"),
            ("storage=1M", "write `storage:SUBTYPE=SIZE` with one of ota, phy, nvs"),
            ("spifs=1M", "did you mean `spiffs`"),
            ("app:ota_0=1M", "no subtype of data"),
            ("=4K", "cannot be a name"),
            ("seventeen_letters:fat=4K", "cannot be a name"),
            ("a b:fat=4K", "cannot be a name"),
            ("\u{e4}:fat=4K", "cannot be a name"),
        ] {
            assert!(read(typed).contains(told), "{typed}: {}", read(typed));
        }
    }
}
