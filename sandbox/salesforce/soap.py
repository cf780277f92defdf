"""Log in by SOAP, the legacy way: `login()` of the Partner API, up to version 64.

SOAP API Developer Guide, "login()" and "ExceptionCode": a fault comes with HTTP 500. The call is absent from
API version 65.0 on.
"""

from __future__ import annotations

import hmac
import html
import re

from sandbox.salesforce.identities import Identities
from sandbox.salesforce.messages import Answer, Call

PATH = re.compile(r"^/services/Soap/u/(\d+)\.0/?$", re.IGNORECASE)
LAST_VERSION = 64
XML = "text/xml;charset=UTF-8"


def judge(call: Call, identities: Identities, version: int) -> str | Answer:
    """Judge a login: the user's name, or the fault that refuses."""
    if version > LAST_VERSION:
        return fault("UNSUPPORTED_API_VERSION", "login() is not available in this version of the API")
    body = call.body.decode("utf-8", "replace")
    name, given = _element(body, "username"), _element(body, "password")
    user = identities.users.get(name)
    if user is None or not hmac.compare_digest(
        (user["password"] + user["security_token"]).encode(), given.encode()
    ):
        return fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    return name


def answer(token: str, instance_url: str, version: int) -> Answer:
    """Tell a session as loginResponse does; its server URL names the instance."""
    server = f"{instance_url}/services/Soap/u/{version}.0/{token[:15]}"
    return Answer(
        200,
        (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
            ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
            "<soapenv:Body><loginResponse><result><passwordExpired>false</passwordExpired>"
            f"<serverUrl>{html.escape(server)}</serverUrl><sessionId>{html.escape(token)}</sessionId>"
            "</result></loginResponse></soapenv:Body></soapenv:Envelope>"
        ).encode(),
        content_type=XML,
    )


def fault(code: str, message: str) -> Answer:
    """Refuse a login as LoginFault does."""
    return Answer(
        500,
        (
            '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
            ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com">'
            f"<soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode>"
            f"<faultstring>{code}: {html.escape(message)}</faultstring><detail><sf:LoginFault>"
            f"<sf:exceptionCode>{code}</sf:exceptionCode>"
            f"<sf:exceptionMessage>{html.escape(message)}</sf:exceptionMessage>"
            "</sf:LoginFault></detail></soapenv:Fault></soapenv:Body></soapenv:Envelope>"
        ).encode(),
        content_type=XML,
    )


def _element(body: str, name: str) -> str:
    """Read one element by its local name: a parser would have to be told not to believe its entities."""
    found = re.search(rf"<(?:\w+:)?{name}>([^<]*)</", body)
    return html.unescape(found[1]) if found is not None else ""
