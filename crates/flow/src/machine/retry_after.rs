//! When an upstream that has too much to do wants to be asked again.

use std::time::Duration;

use snaphook_model::HttpResponse;

/// The longest that an upstream is listened to: as long as a step's own `delay_s` can be.
pub(super) const MOST: Duration = Duration::from_secs(3600);

/// How long a response asks to be left alone (RFC 9110, 10.2.3), at most [`MOST`]; none where it does not ask, or not in a way that can be read.
///
/// A date counts from the response's own `Date`, so that clocks which differ do no harm. A response that has a date and no `Date` asks for nothing.
pub(super) fn retry_after(response: &HttpResponse) -> Option<Duration> {
    if !matches!(response.status, 429 | 503) {
        return None;
    }
    let said = response.headers.get("retry-after")?.trim();
    let asked = if !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number takes are more than the most.
        Duration::from_secs(said.parse().unwrap_or(u64::MAX))
    } else {
        let at = httpdate::parse_http_date(said).ok()?;
        let sent = httpdate::parse_http_date(response.headers.get("date")?.trim()).ok()?;
        // What is over already asks for nothing more.
        at.duration_since(sent).ok()?
    };
    Some(asked.min(MOST))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use snaphook_model::Headers;

    use super::*;

    fn seconds(status: u16, headers: &[(&str, &str)]) -> Option<u64> {
        let headers = headers.iter().copied().collect::<Headers>();
        retry_after(&HttpResponse { status, headers, body: Bytes::new() }).map(|asked| asked.as_secs())
    }

    #[test]
    fn seconds_are_read() {
        for (said, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(429, &[("Retry-After", said)]), expected, "{said:?}");
        }
        assert_eq!(seconds(503, &[("retry-after", "7")]), Some(7));
        for status in [200, 301, 413, 500, 502] {
            assert_eq!(seconds(status, &[("retry-after", "7")]), None, "{status}");
        }
        assert_eq!(seconds(429, &[]), None);
    }

    #[test]
    fn dates_count_from_the_responses_own() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (said, expected) in [
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("Sun, 06 Nov 1994", None),
        ] {
            assert_eq!(seconds(503, &[date, ("retry-after", said)]), expected, "{said}");
        }
        assert_eq!(seconds(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]), None);
    }
}
