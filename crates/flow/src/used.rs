//! What the requests of a run have used so far, so that no later answer of the run shows it: upstreams may know each other.

use std::sync::{Arc, Mutex, PoisonError};

use snaphook_egress::Secrets;

/// Tokens of one connection that are remembered: those before were renewed and are over.
const TOKENS: usize = 4;

/// Shared by a run and what its scripts send.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used(Arc<Mutex<Vec<Arc<Secrets>>>>);

impl Used {
    /// What a request uses, with what was used before it; none where there is neither.
    pub(crate) fn with(&self, secrets: Option<Secrets>) -> Option<Secrets> {
        let secrets = secrets.filter(|secrets| !secrets.values.is_empty());
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = |earlier: &&Arc<Secrets>| secrets.as_ref().is_none_or(|secrets| ***earlier != *secrets);
        let earlier: Vec<_> = used.iter().filter(is_other).cloned().collect();
        let is_new = earlier.len() == used.len();
        // What goes nowhere comes back from nowhere.
        let goes = |secrets: &&Secrets| secrets.values.iter().any(|value| !value.hosts.is_empty());
        if let Some(secrets) = secrets.as_ref().filter(goes).filter(|_| is_new) {
            note(&mut used, secrets);
        }
        if secrets.is_none() && earlier.is_empty() {
            return None;
        }
        Some(Secrets { earlier, ..secrets.unwrap_or_default() })
    }
}

/// Adds what is new, in place of the oldest that it has taken the place of.
fn note(used: &mut Vec<Arc<Secrets>>, secrets: &Secrets) {
    let placeholders = |secrets: &Secrets| secrets.values.iter().map(|value| value.placeholder.clone()).collect::<Vec<_>>();
    let new = placeholders(secrets);
    let same: Vec<_> = used.iter().enumerate().filter(|(_, earlier)| placeholders(earlier) == new).map(|(at, _)| at).collect();
    if same.len() >= TOKENS
        && let Some(&oldest) = same.first()
    {
        used.remove(oldest);
    }
    used.push(Arc::new(secrets.clone()));
}

#[cfg(test)]
mod tests {
    use snaphook_egress::{SealedValue, SecretHost};
    use snaphook_model::{HostRule, SealedSecret};

    use super::*;

    fn secrets(placeholder: &str, sealed: &'static str) -> Secrets {
        let value = SealedValue {
            placeholder: placeholder.to_owned(),
            name: placeholder.to_owned(),
            label: placeholder.to_owned(),
            sealed: SealedSecret(sealed.into()),
            member: None,
            hosts: [SecretHost::named(HostRule::parse("api.example.com").unwrap())].into(),
        };
        Secrets { values: vec![value], ..Secrets::default() }
    }

    #[test]
    fn every_request_hears_of_those_before_it() {
        let used = Used::default();
        assert_eq!((used.with(None), used.with(Some(Secrets::default()))), (None, None));
        let [one, two] = [secrets("one", "1"), secrets("two", "2")];
        assert_eq!(used.with(Some(one.clone())).unwrap(), one);
        // A script's request, which knows the same run.
        let sent = used.clone().with(Some(two.clone())).unwrap();
        assert_eq!((sent.values, &*sent.earlier), (two.values.clone(), &[Arc::new(one.clone())][..]));
        assert_eq!(used.with(Some(one.clone())).unwrap().earlier, [Arc::new(two.clone())], "each once");
        let mut key = secrets("key", "3");
        key.values[0].hosts = [].into();
        assert_eq!(used.with(Some(key)).unwrap().earlier.len(), 2);
        assert_eq!(used.with(None).unwrap().earlier, [Arc::new(one), Arc::new(two)], "a key for signatures was not sent");
    }

    #[test]
    fn of_tokens_that_were_renewed_the_last_ones_are_remembered() {
        let used = Used::default();
        for token in ["1", "2", "3", "4", "5", "6"] {
            let _ = used.with(Some(secrets("token", token)));
        }
        let left: Vec<_> = used.with(None).unwrap().earlier.iter().map(|secrets| secrets.values[0].sealed.clone()).collect();
        assert_eq!(left, ["3", "4", "5", "6"].map(|token| SealedSecret(token.into())));
    }
}
