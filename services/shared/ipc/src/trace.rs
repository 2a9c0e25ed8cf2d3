//! Passing on `traceparent` (W3C Trace Context) from a request to the requests made on its behalf.

use http::HeaderValue;

tokio::task_local! {
    static TRACEPARENT: HeaderValue;
}

/// The header's name.
pub const HEADER: &str = "traceparent";

/// Runs `future` on behalf of a request that carried `traceparent`.
pub async fn scope<F: Future>(traceparent: Option<HeaderValue>, future: F) -> F::Output {
    match traceparent.filter(is_valid) {
        Some(value) => TRACEPARENT.scope(value, future).await,
        None => future.await,
    }
}

/// The `traceparent` of the request that is being answered, where it has one.
pub fn current() -> Option<HeaderValue> {
    TRACEPARENT.try_with(Clone::clone).ok()
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; anything else is not passed on.
fn is_valid(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.len() == 55
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_only_what_has_the_form_of_a_traceparent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_valid(&HeaderValue::from_static(good)));
        assert!(!is_valid(&HeaderValue::from_static("00-zz")));
        assert!(!is_valid(&HeaderValue::from_str(&good.to_uppercase()).unwrap()));
    }
}
