//! How the pages look by the settings: the logo, and a style sheet after Regain's own with the colours and what an
//! administrator has written. Made once for the settings in force.

use std::{
    fmt::Write as _,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::digest;
use poem::{Endpoint, Request, Response, Result, error::NotFoundError};

use super::{Site, headers, statics};
use crate::{
    domain::{
        colour::{Colour, Scheme, Shades},
        logo::Logo,
    },
    settings::Settings,
};

/// The room a logo has, in pixels; beside a name it is less.
const ROOM: (u32, u32) = (240, 44);
const ROOM_BESIDE: (u32, u32) = (160, 40);

/// How the pages look.
pub struct Look {
    /// What comes after Regain's style sheet; empty if there is nothing.
    pub sheet: String,
    /// Its version.
    pub sheet_version: String,
    /// The logo, if there is one.
    pub logo: Option<Logo>,
    /// Its version; empty if there is none.
    pub logo_version: String,
    /// Its width and height on the page.
    pub logo_size: (u32, u32),
}

impl Look {
    /// The look that these settings make.
    pub fn of(settings: &Settings) -> Self {
        let own = &settings.appearance;
        let (light, dark) = own.accents();
        let mut sheet = String::new();
        if let Some(light) = light {
            let _ = writeln!(sheet, ":root {{ {} }}", properties(Scheme::Light, light));
        }
        if let Some(dark) = dark {
            let rule = properties(Scheme::Dark, dark);
            let _ = writeln!(sheet, "@media (prefers-color-scheme: dark) {{ :root {{ {rule} }} }}");
        }
        sheet += &own.css;
        let logo = own.picture();
        let room = if own.logo_with_name { ROOM_BESIDE } else { ROOM };
        Self {
            sheet_version: version(sheet.as_bytes()),
            sheet,
            logo_version: logo.as_ref().map(|logo| version(&logo.bytes)).unwrap_or_default(),
            logo_size: logo.as_ref().map(|logo| logo.fit(room.0, room.1)).unwrap_or_default(),
            logo,
        }
    }
}

/// The custom properties that a colour sets.
fn properties(scheme: Scheme, accent: Colour) -> String {
    let Shades { accent, deep, on, tint } = scheme.shades(accent);
    format!("--accent: {accent}; --accent-deep: {deep}; --on-accent: {on}; --tint: {tint}")
}

/// The first 16 hexadecimal digits of the SHA-256.
fn version(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The look of the settings in force.
#[derive(Default)]
pub struct Looks(RwLock<Option<(Arc<Settings>, Arc<Look>)>>);

impl Looks {
    /// That of these settings; made anew only when they are others.
    pub fn of(&self, settings: &Arc<Settings>) -> Arc<Look> {
        {
            let made = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, look)) = made.as_ref().filter(|(known, _)| Arc::ptr_eq(known, settings)) {
                return Arc::clone(look);
            }
        }
        let look = Arc::new(Look::of(settings));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::clone(settings), Arc::clone(&look)));
        look
    }
}

/// `/appearance/logo` and `/appearance/style.css`
pub struct Appearance {
    /// The site.
    pub site: Arc<Site>,
    /// Whether it is the logo.
    pub is_logo: bool,
}

impl Endpoint for Appearance {
    type Output = Response;
    async fn call(&self, request: Request) -> Result<Response> {
        let look = self.site.looks.of(&self.site.services.settings.load_full());
        if !self.is_logo {
            let sheet = look.sheet.as_bytes();
            return Ok(statics::answer(&request, sheet, statics::CSS, &look.sheet_version));
        }
        let logo = look.logo.as_ref().ok_or(NotFoundError)?;
        let mut response = statics::answer(&request, &logo.bytes, logo.media_type(), &look.logo_version);
        headers::lock(&mut response);
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stand_before_what_an_administrator_has_written() {
        let mut settings = Settings::default();
        assert_eq!(Look::of(&settings).sheet, "");
        settings.appearance.accent = "#003399".into();
        settings.appearance.css = "a { color: red }".into();
        let sheet = Look::of(&settings).sheet;
        let lines: Vec<_> = sheet.lines().collect();
        assert_eq!(
            lines[0],
            ":root { --accent: #003399; --accent-deep: #00256e; --on-accent: #ffffff; --tint: #e6ebf5 }"
        );
        assert!(lines[1].starts_with("@media (prefers-color-scheme: dark) { :root { --accent: #"), "{sheet}");
        assert!(lines[1].contains("--on-accent: #000000"), "{sheet}");
        assert_eq!((lines[2], lines.len()), ("a { color: red }", 3));
    }

    #[test]
    fn the_look_is_made_once_for_the_same_settings() {
        let (looks, settings) = (Looks::default(), Arc::new(Settings::default()));
        assert!(Arc::ptr_eq(&looks.of(&settings), &looks.of(&settings)));
        let mut other = Settings::default();
        other.appearance.accent = "#003399".into();
        let other = Arc::new(other);
        assert!(looks.of(&other).sheet_version != looks.of(&settings).sheet_version);
    }
}
