//! `kofferctl print`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use koffer_proto::Segment;
use koffer_proto::class::document_printer::{Copies, Media, Sides};

use crate::ctl::typed;

/// A document and how it is to be printed.
#[derive(Debug, Args)]
pub(in crate::ctl) struct Print {
    /// The printer, or a role
    pub(in crate::ctl) device: Segment,
    /// The document, PDF, JPEG or PWG raster by its content; - for stdin
    #[arg(value_name = "FILE|-")]
    pub(in crate::ctl) file: PathBuf,
    /// How often
    #[arg(long, value_name = "N", value_parser = typed::parse_copies)]
    pub(in crate::ctl) copies: Option<Copies>,
    /// On which sides of the sheets
    #[arg(long, default_value = "one-sided")]
    pub(in crate::ctl) sides: SidesWord,
    /// On what, by its PWG name such as iso_a4_210x297mm [default: the printer's own]
    #[arg(long, value_name = "NAME", value_parser = typed::parse_media)]
    pub(in crate::ctl) media: Option<Media>,
    /// In colour
    #[arg(long, conflicts_with = "grey")]
    pub(in crate::ctl) colour: bool,
    /// In shades of grey [default: as the printer likes it]
    #[arg(long)]
    pub(in crate::ctl) grey: bool,
}

/// IPP's `sides`, and short words for them.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::ctl) enum SidesWord {
    /// One side of each sheet
    OneSided,
    /// Both sides, turned like a book's pages
    #[value(alias = "long-edge")]
    TwoSidedLongEdge,
    /// Both sides, turned like a notepad's
    #[value(alias = "short-edge")]
    TwoSidedShortEdge,
}

impl From<SidesWord> for Sides {
    fn from(word: SidesWord) -> Self {
        match word {
            SidesWord::OneSided => Self::OneSided,
            SidesWord::TwoSidedLongEdge => Self::TwoSidedLongEdge,
            SidesWord::TwoSidedShortEdge => Self::TwoSidedShortEdge,
        }
    }
}
