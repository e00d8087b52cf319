"""Every failure the gateway names, with its HTTP status and the words a caller may read.

GatewayError
├── ApiError                      answered as {"error": message}
│   ├── BadRequest           400
│   │   └── ConnectionNotActive
│   ├── Unauthorized         401
│   ├── CrossOrigin          403
│   ├── ReadOnlyKey          403
│   ├── CallNotServed        403
│   ├── NotFound             404
│   │   ├── ConnectionNotFound
│   │   ├── JobNotFound
│   │   ├── PageNotFound
│   │   ├── WorkspaceNotFound
│   │   ├── SourceNotFound
│   │   └── DestinationNotFound
│   ├── MethodNotAllowed     405
│   ├── RequestTimeout       408
│   ├── OtherJobRunning      409
│   ├── ContentTooLarge      413
│   ├── CallerLeft           499
│   ├── UriTooLong           414
│   ├── HeadersTooLarge      431
│   ├── RetryableError            says when to come back
│   │   ├── RateLimitExceeded    429
│   │   ├── Overloaded           503
│   │   │   └── TooManyCancels
│   │   └── StorageUnavailable   503
│   ├── InternalError        500
│   ├── MethodNotImplemented 501
│   ├── CancelPending        504
│   ├── TriggerPending       504
│   └── UpstreamError
│       ├── UpstreamUnreachable  502
│       │   └── UpstreamForbidden   Airbyte does not tell the gateway's credential of a connection
│       ├── UpstreamInvalid      502
│       │   └── UpstreamRefused     Airbyte's own status and title, for the rules in `syncs`
│       ├── UpstreamBusy         503   also RetryableError
│       ├── UpstreamTimeout      504
│       └── OutcomeUnknown       504
└── OperatorError                 one line on the command line, exit status 1; one line on a page
    ├── SettingsError
    ├── DatabaseRefused
    ├── Duplicate
    ├── UnknownRecord             no such client, connection, key or user
    ├── InvalidInput
    │   └── PasswordRefused
    ├── LinkEnded
    └── SignInRefused
        ├── ClientDisabled
        ├── CodeRefused
        └── SignInEnded

Not in the tree, because each is caught and handled before anybody outside the gateway learns of it:

Fault                 airbyte     a call to Airbyte failed, and whether another try may succeed
NoAnswer              airbyte     an address that is examined does not answer
BackendUnavailable    cluster     Valkey does not answer: decide without it
OddAnswer             cluster     Valkey answered what no script of ours returns
SignInNeeded          dashboard   lead the visitor to the sign-in
NotTold               notices     a channel did not take a notice to the operator
└── NoticeRefused                 but it answered, and may take another
MailNotSent           notices     a mail server did not take a message
└── MessageRefused                but it answered, and may take another
DestinationRefused    webhooks    a webhook's name leads to no address that may be used
ConstraintViolated    store       a statement met what a constraint forbids
TriggerUnderWay       store       another gateway is triggering the same connection
"""

from gateway.errors.api import (
    ApiError,
    BadRequest,
    CallerLeft,
    CallNotServed,
    CancelPending,
    ConnectionNotActive,
    ConnectionNotFound,
    ContentTooLarge,
    CrossOrigin,
    DestinationNotFound,
    GatewayError,
    HeadersTooLarge,
    InternalError,
    JobNotFound,
    MethodNotAllowed,
    MethodNotImplemented,
    NotFound,
    OtherJobRunning,
    Overloaded,
    PageNotFound,
    RateLimitExceeded,
    ReadOnlyKey,
    RequestTimeout,
    RetryableError,
    SourceNotFound,
    StorageUnavailable,
    TooManyCancels,
    TriggerPending,
    Unauthorized,
    UriTooLong,
    WorkspaceNotFound,
)
from gateway.errors.operator import (
    ClientDisabled,
    CodeRefused,
    DatabaseRefused,
    Duplicate,
    InvalidInput,
    LinkEnded,
    OperatorError,
    PasswordRefused,
    SettingsError,
    SignInEnded,
    SignInRefused,
    UnknownRecord,
)
from gateway.errors.upstream import (
    OutcomeUnknown,
    UpstreamBusy,
    UpstreamError,
    UpstreamForbidden,
    UpstreamInvalid,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)

__all__ = [
    "ApiError",
    "BadRequest",
    "CallNotServed",
    "CallerLeft",
    "CancelPending",
    "ClientDisabled",
    "CodeRefused",
    "ConnectionNotActive",
    "ConnectionNotFound",
    "ContentTooLarge",
    "CrossOrigin",
    "DatabaseRefused",
    "DestinationNotFound",
    "Duplicate",
    "GatewayError",
    "HeadersTooLarge",
    "InternalError",
    "InvalidInput",
    "JobNotFound",
    "LinkEnded",
    "MethodNotAllowed",
    "MethodNotImplemented",
    "NotFound",
    "OperatorError",
    "OtherJobRunning",
    "OutcomeUnknown",
    "Overloaded",
    "PageNotFound",
    "PasswordRefused",
    "RateLimitExceeded",
    "ReadOnlyKey",
    "RequestTimeout",
    "RetryableError",
    "SettingsError",
    "SignInEnded",
    "SignInRefused",
    "SourceNotFound",
    "StorageUnavailable",
    "TooManyCancels",
    "TriggerPending",
    "Unauthorized",
    "UnknownRecord",
    "UpstreamBusy",
    "UpstreamError",
    "UpstreamForbidden",
    "UpstreamInvalid",
    "UpstreamRefused",
    "UpstreamTimeout",
    "UpstreamUnreachable",
    "UriTooLong",
    "WorkspaceNotFound",
]
