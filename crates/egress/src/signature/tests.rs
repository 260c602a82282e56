//! Signatures, held against the crate of the specification's authors.

use snaphook_model::Headers;
use standardwebhooks::Webhook;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: i64 = 1_800_000_000;

fn request(headers: &[(&str, &str)], body: &[u8]) -> TriggerRequest {
    let headers = headers.iter().copied().collect::<Headers>();
    TriggerRequest { headers, body: body.to_vec().into(), ..TriggerRequest::default() }
}

fn checked(headers: &[(&str, &str)], body: &[u8], now: i64) -> Result<(), Fault> {
    check(&key_of(SECRET.as_bytes()).unwrap(), &request(headers, body), Timestamp::from_second(now).unwrap())
}

fn signed(body: &[u8], at: i64) -> String {
    Webhook::new(SECRET).unwrap().sign("msg_1", at, body).unwrap()
}

#[test]
fn signatures_of_the_reference_are_taken_inside_their_window() {
    let (body, time) = ("{\"a\": \"ü\"}".as_bytes(), NOW.to_string());
    let signature = signed(body, NOW);
    let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", &time), ("webhook-signature", &signature)];
    for (now, taken) in [(NOW, true), (NOW + 300, true), (NOW - 300, true), (NOW + 301, false), (NOW - 301, false)] {
        assert_eq!(checked(&headers, body, now).is_ok(), taken, "{}", now - NOW);
    }
    let rotated = format!("v1,{} v1a,x v1, {signature}", STANDARD.encode([7; 32]));
    assert!(checked(&[headers[0], headers[1], ("webhook-signature", &rotated)], body, NOW).is_ok());
    // The published example of the specification's authors.
    let example = Webhook::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
    let text = br#"{"email":"test@example.com","username":"test_user"}"#;
    assert_eq!(
        example.sign("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, text).unwrap(),
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
    );
    let key = key_of(b"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
    let headers = [
        ("Webhook-Id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"),
        ("Webhook-Timestamp", "1649367553"),
        ("Webhook-Signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
    ];
    assert!(check(&key, &request(&headers, text), Timestamp::from_second(1_649_367_600).unwrap()).is_ok());
}

#[test]
fn a_body_need_not_be_text() {
    let body = [0xff, 0x00, 0xfe];
    let mut mac = Hmac::<Sha256>::new_from_slice(&key_of(SECRET.as_bytes()).unwrap()).unwrap();
    mac.update(format!("msg_1.{NOW}.").as_bytes());
    mac.update(&body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let time = NOW.to_string();
    let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", &*time), ("webhook-signature", &*signature)];
    assert!(checked(&headers, &body, NOW).is_ok());
    assert!(checked(&headers, &[0xff, 0x00, 0xff], NOW).is_err());
}

#[test]
fn what_is_not_signed_is_refused() {
    let (body, time) = (&b"{}"[..], NOW.to_string());
    let good = signed(body, NOW);
    let with = |id: &str, time: &str, signature: &str| {
        let headers = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)];
        checked(&headers, body, NOW).err().map(|fault| (fault.code, fault.detail))
    };
    assert_eq!(with("msg_1", &time, &good), None);
    let cut = &good[..good.len() - 4];
    let other = Webhook::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap().sign("msg_1", NOW, body).unwrap();
    for signature in ["v1,", "v1", "", ",", "v1,=", "v1,AA==", cut, &good.replace("v1,", "v2,"), &other, &good[3..]] {
        let (code, detail) = with("msg_1", &time, signature).unwrap_or_else(|| panic!("{signature} is taken"));
        assert_eq!(code, Code::Signature, "{detail}");
    }
    assert!(with("msg_2", &time, &good).is_some());
    for wrong in ["", "-1", "+1800000000", "1800000001", "1.8e9", "soon", "9999999999999", "-9223372036854775808", "9223372036854775807"] {
        assert!(with("msg_1", wrong, &good).is_some(), "{wrong}");
    }
    for missing in 0..3 {
        let mut headers = vec![("webhook-id", "msg_1"), ("webhook-timestamp", &*time), ("webhook-signature", &*good)];
        let twice = [&headers[..], &headers[missing..=missing]].concat();
        assert!(checked(&twice, body, NOW).unwrap_err().detail.contains("more than once"));
        headers.remove(missing);
        assert!(checked(&headers, body, NOW).unwrap_err().detail.contains("missing"));
    }
}

#[test]
fn a_secret_is_a_key_or_is_said_to_be_none() {
    for good in [SECRET, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"] {
        assert_eq!(key_of(good.as_bytes()).unwrap().len(), 24);
    }
    for bad in ["", "whsec_", "whsec_AAAA", "a password with spaces in it", "whsec_????????????????????????????????"] {
        assert!(key_of(bad.as_bytes()).unwrap_err().detail.contains("whsec_"), "{bad}");
    }
}
