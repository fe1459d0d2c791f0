// Cargo.toml: base64 = "0.22", hmac = "0.12", sha2 = "0.10"
use base64::{engine::general_purpose::STANDARD, Engine};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether a request was signed with the secret (whsec_…) in the last five
/// minutes. The body must be the bytes as they came; header finds a header by
/// name.
pub fn genuine(secret: &str, header: impl Fn(&str) -> Option<String>, body: &[u8]) -> bool {
    check(secret, header, body).is_some()
}

fn check(secret: &str, header: impl Fn(&str) -> Option<String>, body: &[u8]) -> Option<()> {
    let (id, sent) = (header("webhook-id")?, header("webhook-timestamp")?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    if now.abs_diff(sent.parse().ok()?) > 300 {
        return None;
    }
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{sent}.").as_bytes());
    mac.update(body);
    // There are several signatures while a secret is being changed. verify_slice
    // takes the same time whatever differs.
    header("webhook-signature")?.split(' ').find_map(|entry| {
        let got = STANDARD.decode(entry.strip_prefix("v1,")?).ok()?;
        mac.clone().verify_slice(&got).ok()
    })
}
