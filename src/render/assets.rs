//! Style sheet, script and icons, each under an address that changes with its content.

use std::{borrow::Cow, collections::HashMap};

use aws_lc_rs::digest;
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "ui/assets"]
struct Files;

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

/// All assets.
#[derive(Debug)]
pub struct Assets(HashMap<String, Asset>);

impl Assets {
    pub(super) fn embedded() -> Self {
        let assets = Files::iter().filter_map(|name| {
            let bytes = Files::get(&name)?.data;
            let hash = digest::digest(&digest::SHA256, &bytes);
            let version = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            let media_type = match name.rsplit('.').next() {
                Some("css") => "text/css; charset=utf-8",
                Some("js") => "text/javascript; charset=utf-8",
                Some("svg") => "image/svg+xml",
                Some("png") => "image/png",
                _ => "application/octet-stream",
            };
            Some((name.into_owned(), Asset { bytes, media_type, version }))
        });
        Self(assets.collect())
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
