//! Lists in pages.

/// Items of a page, however many are asked for.
pub const MAX_PAGE: u32 = 200;

/// Where a page ended. Opaque to callers; stays good while rows come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Items wanted, 1 to [`MAX_PAGE`]; other values are moved into that range.
    pub limit: u32,
    /// The `next` of the page before; absent: the first page.
    pub after: Option<Cursor>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In the list's order. May be fewer than asked for although more follow: a page is bounded in bytes too.
    pub items: Vec<T>,
    /// Where the list goes on; absent at its end.
    pub next: Option<Cursor>,
}

impl PageRequest {
    /// The first page.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}
