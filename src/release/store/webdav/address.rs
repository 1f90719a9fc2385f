//! The address of a store over a network, as a project may name it.

use url::Url;

use super::WebDavError;

/// Reads the address of a store. Secrets do not belong into a project.
pub(super) fn read(text: &str) -> Result<Url, WebDavError> {
    let (scheme, rest) = text.split_once("//").unwrap_or(("", text));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let refused = |reason| {
        // Not even in the message that refuses it.
        let shown = match authority.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}//…@{host}"),
            None => text.to_owned(),
        };
        Err(WebDavError::Address { shown, reason })
    };
    if authority.is_empty() {
        return refused("it names no host");
    }
    let Ok(address) = Url::parse(text) else { return refused("it is no URL") };
    match () {
        () if address.scheme() == "http" => {
            refused("without TLS anybody on the way could read the credentials")
        }
        () if address.scheme() != "https" || !address.has_host() => refused("it is no https URL"),
        () if !address.username().is_empty() || address.password().is_some() => {
            refused("a user or a password stands in it")
        }
        () if address.query().is_some() => refused("it has a query"),
        () if address.fragment().is_some() => refused("it has a fragment"),
        () => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Exit, Explained};

    #[test]
    fn only_an_https_address_without_secrets_is_one() {
        let address = read("https://updates.example.com:8443/a%20b/").unwrap();
        assert_eq!(address.path(), "/a%20b/");
        for (bad, reason) in [
            ("http://example.com/x", "without TLS"),
            ("https://", "no host"),
            ("https:///x", "no host"),
            ("https://ci@example.com/x", "a user"),
            ("https://:secret@example.com/x", "a user"),
            ("https://example.com/x?token=1", "a query"),
            ("https://example.com/x#y", "a fragment"),
        ] {
            let Err(error) = read(bad) else { panic!("{bad}") };
            assert_eq!(error.exit(), Exit::Project, "{bad}");
            assert!(error.to_string().contains(reason), "{bad}: {error}");
            assert!(error.help().is_some());
        }
    }

    #[test]
    fn a_secret_in_an_address_is_not_repeated() {
        for bad in
            ["https://ci:geheim@example.com/x", "https://ci:geheim@exa mple/x", "http://a:geheim@b"]
        {
            let error = read(bad).unwrap_err();
            assert!(
                !error.to_string().contains("geheim") && error.to_string().contains("…@"),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("geheim"));
        }
    }
}
