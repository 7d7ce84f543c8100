//! AWS's errors for requests without a valid signature.

/// A request without a valid signature: the error's type and AWS's message.
#[derive(Debug, PartialEq, Eq)]
pub struct SignatureError {
    pub kind: &'static str,
    pub message: String,
}

impl SignatureError {
    pub(super) fn unsigned(message: &str) -> Self {
        Self { kind: "MissingAuthenticationTokenException", message: message.to_owned() }
    }

    pub(super) fn incomplete(message: String) -> Self {
        Self { kind: "IncompleteSignatureException", message }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: "InvalidSignatureException", message: message.into() }
    }

    pub(super) fn unknown_key() -> Self {
        let message = "The security token included in the request is invalid.".to_owned();
        Self { kind: "UnrecognizedClientException", message }
    }

    pub(super) fn mismatch() -> Self {
        Self::invalid(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    }
}
