"""Know the vendor's errors by their codes: status, words and shape, so that a fault needs to name a code only.

REST: REST API Developer Guide, "Status Codes and Error Responses", with the codes of SOAP API Developer Guide,
"ExceptionCode" and "StatusCode". Token endpoint: Salesforce Help, "OAuth 2.0 Authorization Errors". SOAP login:
SOAP API Developer Guide, "LoginFault". Where a code is answered in more than one of them, upper case is REST.
"""

from __future__ import annotations

from sandbox.salesforce import soap
from sandbox.salesforce.messages import Answer, refused, refused_login

REST: dict[str, tuple[int, str]] = {
    "INVALID_SESSION_ID": (401, "Session expired or invalid"),
    "REQUEST_LIMIT_EXCEEDED": (403, "TotalRequests Limit exceeded."),
    "API_DISABLED_FOR_ORG": (403, "API is not enabled for this Organization or Partner"),
    "API_CURRENTLY_DISABLED": (403, "API is disabled for this User"),
    "INSUFFICIENT_ACCESS_OR_READONLY": (403, "insufficient access rights on object id"),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": (
        400,
        "insufficient access rights on cross-reference id",
    ),
    "NOT_FOUND": (404, "The requested resource does not exist"),
    "ENTITY_IS_DELETED": (404, "entity is deleted"),
    "MALFORMED_ID": (400, "malformed id"),
    "MALFORMED_QUERY": (400, "unexpected token"),
    "INVALID_FIELD": (400, "No such column on sobject"),
    "INVALID_TYPE": (400, "sObject type is not supported."),
    "INVALID_QUERY_LOCATOR": (400, "invalid query locator"),
    "UNABLE_TO_LOCK_ROW": (400, "unable to obtain exclusive access to this record"),
    "QUERY_TIMEOUT": (400, "Your query request was running for too long."),
    "METHOD_NOT_ALLOWED": (405, "HTTP Method not allowed"),
    "UNSUPPORTED_API_VERSION": (410, "This version of the API is no longer available"),
    "URI_TOO_LONG": (414, "The length of the URI exceeds the limit"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Content type is not supported"),
    "REQUEST_HEADER_FIELDS_TOO_LARGE": (431, "The combined length of the URI and headers exceeds the limit"),
    "UNKNOWN_EXCEPTION": (500, "An unexpected error occurred. Please include this ErrorId: 1234567890-12345"),
    "SERVER_UNAVAILABLE": (503, "The server is temporarily unavailable to respond to the request"),
}
OAUTH: dict[str, tuple[int, str]] = {
    "invalid_grant": (400, "authentication failure"),
    "invalid_client": (400, "invalid client credentials"),
    "invalid_client_id": (400, "client identifier invalid"),
    "invalid_app_access": (400, "user is not admin approved to access this app"),
    "inactive_user": (400, "user is inactive"),
    "inactive_org": (400, "organization is inactive"),
    "unsupported_grant_type": (400, "grant type not supported"),
    "rate_limit_exceeded": (400, "exceeded the number of requests for this flow"),
    "server_error": (500, "the service met an unexpected condition"),
}
SOAP: dict[str, str] = {
    "INVALID_LOGIN": "Invalid username, password, security token; or user locked out.",
    "LOGIN_MUST_USE_SECURITY_TOKEN": "you must use a security token",
    "PASSWORD_LOCKOUT": "user has exceeded the number of password attempts",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "The user's password has expired",
    "LOGIN_RATE_EXCEEDED": "login rate exceeded",
    "LOGIN_DURING_RESTRICTED_TIME": "login is not permitted at this time",
}
CODES = (*REST, *OAUTH, *SOAP)


def error(code: str) -> Answer:
    """Answer with an error in the shape in which the vendor sends it. Raises KeyError for an unknown code."""
    if code in OAUTH:
        status, words = OAUTH[code]
        return refused_login(status, code, words)
    if code in SOAP:
        return soap.fault(code, SOAP[code])
    status, words = REST[code]
    return refused(status, code, words)
