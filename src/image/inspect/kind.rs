//! What a file can be, each kind with its lasting name, its words, and what to do instead of
//! publishing it.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $words:literal $help:expr;)*) => {
        /// What a file is. Names are printed in JSON, and never reused once released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// Every kind, so that documentation and tests can walk them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// With its article.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$kind => $words,)* }
            }

            /// What to do instead of publishing it.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$kind => $help,)* }
            }
        }
    };
}

const BUILD: &str = "publish the app image that `cargo esp-ota build` writes";
const UNPACK: &str = "unpack it, and inspect what is in it with `cargo esp-ota inspect FILE`";

kinds! {
    /// An image of an app: what is published.
    App "app-image" "an app image" BUILD;
    /// An image of a second-stage bootloader.
    Bootloader "bootloader-image" "a bootloader" BUILD;
    /// An image for the ESP8266.
    Esp8266 "esp8266-image" "an image for the ESP8266" "build the firmware for an ESP32";
    /// The beginning of an image, whose header makes no sense.
    BrokenImage "broken-image" "a broken image" "make the image again with `cargo esp-ota build`";
    /// An image that does not begin at the beginning of the file.
    ShiftedImage "shifted-image" "an image with something before it, or without its beginning"
        "make the image again with `cargo esp-ota build`, and copy it as it is";
    /// Bootloader, table and apps in one file.
    MergedFlash "merged-flash" "a file of whole flash"
        "publish the app alone: `cargo esp-ota build` makes it, or `espflash save-image` without \
         `--merge`";
    /// What a linker or a compiler writes.
    Elf "elf-file" "an ELF file" "make an image of it: `cargo esp-ota build --elf FILE`";
    /// A partition table as flash holds it.
    PartitionTable "partition-table" "a partition table"
        "flash it over USB, for no update changes it; publish the app image that \
         `cargo esp-ota build` writes";
    /// A partition table as people write it.
    PartitionCsv "partition-csv" "a partition table as CSV"
        "name it as `partitions` in `esp-ota.toml`; publish the app image that \
         `cargo esp-ota build` writes";
    /// The contents of an otadata partition.
    Otadata "otadata" "the contents of an `otadata` partition" BUILD;
    /// The contents of an NVS partition.
    Nvs "nvs" "the contents of an NVS partition"
        "keep it to yourself, it may hold passwords; publish the app image that \
         `cargo esp-ota build` writes";
    /// Nothing but FF.
    ErasedFlash "erased-flash" "erased flash: every byte is FF" BUILD;
    /// Nothing but zeros.
    Zeros "zeros" "nothing but zeros" BUILD;
    /// No byte at all.
    Empty "empty" "an empty file" "make it again: whatever wrote it did not finish";
    /// A web page.
    Html "html" "a web page (HTML)"
        "look at the URL: the server sent a page in place of the file, such as a login or an error";
    /// XML.
    Xml "xml" "XML" "look at the URL: servers answer with XML when they refuse a file";
    /// The head of an answer of a web server, and what follows.
    HttpAnswer "http-answer" "an answer of a web server, with its head"
        "save the body without the head: `curl --fail --output FILE URL`";
    /// TUF metadata.
    TufMetadata "tuf-metadata" "TUF metadata" BUILD;
    /// JSON.
    Json "json" "JSON" "look at the URL: servers answer with JSON when they refuse a file";
    /// The private half of a key.
    PrivateKey "private-key" "a private key"
        "keep it to yourself; a key that was ever public has to be replaced";
    /// Certificates and other things in PEM.
    Pem "pem" "PEM, such as a certificate" BUILD;
    /// What git keeps in place of a large file.
    LfsPointer "git-lfs-pointer" "a pointer of Git LFS, in place of the file"
        "fetch the file itself with `git lfs pull`";
    /// Intel HEX.
    IntelHex "intel-hex" "an image in Intel HEX" "make the image with `cargo esp-ota build`";
    /// UF2.
    Uf2 "uf2" "an image in UF2, for a USB bootloader"
        "make the image with `cargo esp-ota build`: devices take no UF2 over the air";
    /// gzip.
    Gzip "gzip" "compressed with gzip" UNPACK;
    /// A ZIP archive.
    Zip "zip" "a ZIP archive" UNPACK;
    /// xz.
    Xz "xz" "compressed with xz" UNPACK;
    /// Zstandard.
    Zstandard "zstandard" "compressed with Zstandard" UNPACK;
    /// bzip2.
    Bzip2 "bzip2" "compressed with bzip2" UNPACK;
    /// A program for Windows or macOS.
    HostProgram "host-program" "a program for Windows or macOS"
        "build the firmware for its chip with `cargo esp-ota build`";
    /// ESP-IDF's pre-encrypted image.
    PreEncrypted "pre-encrypted-image" "an image encrypted by ESP-IDF's esp_encrypted_img"
        "publish the plain image, as `cargo esp-ota build` writes it";
    /// What looks like random numbers.
    LooksEncrypted "looks-encrypted" "something that looks encrypted, or compressed"
        "publish the plain image, as `cargo esp-ota build` writes it";
    /// Other text.
    Text "text" "text" BUILD;
    /// None of these.
    Unknown "unknown" "nothing that is known here" BUILD;
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_remedy() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let is_kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(kind.name().chars().all(is_kebab), "{kind}");
            assert!(!kind.help().ends_with('.') && !kind.help().is_empty(), "{kind}");
        }
    }
}
