//! What can be asked about points.

/// One point.
#[derive(Debug, clap::Args)]
pub struct PointWords {
    /// Its name: `machine.tag`
    pub name: String,
    /// Set it: on, off, a number, or a text
    #[arg(
        long,
        value_name = "VALUE",
        allow_hyphen_values = true,
        conflicts_with_all = ["history", "every"]
    )]
    pub set: Option<String>,
    /// What it has been: since how long ago (1h), since when (RFC 3339)
    #[arg(long, value_name = "SINCE", allow_hyphen_values = true)]
    pub history: Option<String>,
    /// In spans of this length: 10s, 1m [default: a 300th of the whole]
    #[arg(long, value_name = "SPAN", requires = "history")]
    pub every: Option<String>,
}
