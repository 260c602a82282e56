//! Lists: `?limit=&cursor=` in, `{"items", "next_cursor"}` out.

use serde::{Deserialize, Serialize};
use snaphook_model::Invalid;
use snaphook_store::{Cursor, MAX_PAGE, Page, PageRequest};

use crate::answer::{self, Answer};
use crate::problem::Problem;

/// Items of a page that names no limit.
const DEFAULT_LIMIT: u32 = 50;

/// Which page, as a query says it.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items wanted, 1 to 200; default 50.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A part of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct List<T> {
    items: Vec<T>,
    /// Where the list goes on; null at its end.
    next_cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn new(limit: Option<String>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    pub(crate) fn request(self) -> Result<PageRequest, Problem> {
        let limit = self.limit.as_ref().map_or(Some(DEFAULT_LIMIT), |text| text.parse().ok());
        let limit = limit.filter(|limit| (1..=MAX_PAGE).contains(limit));
        let limit = limit.ok_or_else(|| Invalid::new("limit", format!("must be a number from 1 to {MAX_PAGE}")))?;
        Ok(PageRequest { limit, after: self.cursor.map(Cursor) })
    }
}

/// The answer with a page, each item in its wire form.
pub(crate) fn list<T, W: Serialize>(page: Page<T>, wire: impl FnMut(T) -> W) -> Answer {
    let items = page.items.into_iter().map(wire).collect();
    answer::ok(&List::<W> { items, next_cursor: page.next.map(|cursor| cursor.0) })
}
