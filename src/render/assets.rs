//! Style sheet, script and icons, each under an address that changes with its content.

use std::{borrow::Cow, collections::HashMap};

use super::{
    embedded::Sort,
    folder::{Fault, Snapshot},
};
use aws_lc_rs::digest;

/// One asset.
#[derive(Debug)]
pub struct Asset {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub media_type: &'static str,
    /// The first 16 hexadecimal digits of its SHA-256.
    pub version: String,
}

/// What is served, by the ending of its name.
const MEDIA_TYPES: [(&str, &str); 10] = [
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("ico", "image/vnd.microsoft.icon"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];

impl Asset {
    fn new(name: &str, bytes: Cow<'static, [u8]>) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        let (_, media_type) = MEDIA_TYPES.into_iter().find(|(known, _)| *known == ending)?;
        let hash = digest::digest(&digest::SHA256, &bytes);
        let version = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { bytes, media_type, version })
    }
}

/// All assets.
#[derive(Debug)]
pub struct Assets(HashMap<String, Asset>);

impl Assets {
    pub(super) fn embedded() -> Self {
        let assets = Sort::Asset.names().into_iter().filter_map(|name| {
            let asset = Asset::new(&name, Sort::Asset.find(&name)?)?;
            Some((name, asset))
        });
        Self(assets.collect())
    }

    /// Lays an operator's assets over these, and adds others.
    pub(super) fn lay_over(&mut self, snapshot: &Snapshot, faults: &mut Vec<Fault>) {
        for (file, bytes) in &snapshot.files {
            let Some((Sort::Asset, name)) = Sort::of(file) else { continue };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if !name.chars().all(is_plain) {
                let reason = "has a name that no address has: letters, digits and . _ - are for assets, without folders";
                faults.push(Fault::of(file, reason));
                continue;
            }
            match Asset::new(name, Cow::Owned(bytes.clone())) {
                Some(asset) => {
                    self.0.insert(name.to_owned(), asset);
                }
                None => {
                    let known: Vec<_> = MEDIA_TYPES.iter().map(|(ending, _)| format!(".{ending}")).collect();
                    faults.push(Fault::of(file, format!("is none of what is served: {}", known.join(" "))));
                }
            }
        }
    }

    /// The asset of that name.
    pub fn find(&self, name: &str) -> Option<&Asset> {
        self.0.get(name)
    }

    /// The address of the asset, with its version.
    pub fn address(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(asset) => format!("/assets/{name}?v={}", asset.version),
            None => format!("/assets/{name}"),
        }
    }
}
