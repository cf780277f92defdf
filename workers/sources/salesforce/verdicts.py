"""Say what each answer and each break of the wire means: the table, from top to bottom, first row that fits.

    about this record         Permanent    the import fails at once
    about this answer         Transient    counts an attempt
    about the organization    Throttled    counts nothing, the import waits
    not to be told from one   TroubleError    `standing` decides between the last two
    answer alone

A verdict's sentence is ours: nothing that the other side wrote is repeated.
"""

from __future__ import annotations

import errno
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import requests
import urllib3.exceptions as wire

from workers.failures import Failure, Permanent, Throttled, Transient
from workers.sources.salesforce.answers import Refusal

_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
ORGANIZATION, QUOTA = "salesforce", "salesforce_quota"


class TroubleError(Exception):
    """A reset, a timeout, a 5xx: this answer's or the whole organization's, which one answer cannot tell."""

    def __init__(self, code: str, detail: str, *, retry_after: float | None = None) -> None:
        self.code, self.detail, self.retry_after = code, detail, retry_after
        super().__init__(f"{code}: {detail}")

    def of_answer(self) -> Transient:
        """Put it down to this answer: it counts an attempt."""
        return Transient(self.code, self.detail, retry_after=self.retry_after)

    def of_organization(self) -> Throttled:
        """Put it down to the organization, whose gate then closes."""
        return unavailable(self.detail, self.retry_after)


class SessionRefusedError(Exception):
    """The session is no longer good; one new login may mend it.

    `fresh` is the failure where it was a new one; `lasting` says that its answer named what an administrator has to
    change, so that another login before the next probe is of no use.
    """

    def __init__(self, fresh: Throttled, *, lasting: bool) -> None:
        self.fresh, self.lasting = fresh, lasting
        super().__init__(fresh.code)


class MovedError(Exception):
    """A redirect, which is never followed: the organization may have moved to another instance."""


Verdict = Failure | TroubleError | SessionRefusedError | MovedError


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: statuses, beginning of the error code, part of the text; empty fits all."""

    statuses: tuple[range | int, ...]
    code: str
    says: str
    verdict: Callable[[Refusal], Verdict]

    def fits(self, refusal: Refusal) -> bool:
        """Tell whether the row is about this refusal."""
        return (
            (not self.statuses or any(_is(refusal.status, one) for one in self.statuses))
            and refusal.code.startswith(self.code)
            and self.says in refusal.says
        )


def unavailable(detail: str, retry_after: float | None = None) -> Throttled:
    """Salesforce as a whole cannot be reached or cannot serve: probe it every five seconds."""
    wait = max(5.0, retry_after or 0.0)
    return Throttled(
        "salesforce_unavailable", detail, waiting_for=ORGANIZATION, probe_after=wait, probe_cap=wait
    )


def _quota(_: Refusal) -> Throttled:
    return Throttled(
        "salesforce_quota",
        "The organization has used up its API calls of the last 24 hours; imports go on as calls come free.",
        waiting_for=QUOTA,
        probe_after=60,
        probe_cap=900,
    )


def _busy(refusal: Refusal) -> Throttled:
    # Over as soon as somebody's long call ends, which may be now: one call asks, soon and then less often.
    # Half a minute or more would be longer than an import may be held up by a fault that is over.
    named = refusal.retry_after
    first, cap = (random.uniform(5, 10), 15.0) if named is None else (max(1.0, named),) * 2  # noqa: S311
    return Throttled(
        "salesforce_busy",
        "Salesforce takes no further calls of this organization at once; imports go on in a while.",
        waiting_for="salesforce_busy",
        probe_after=first,
        probe_cap=cap,
    )


def _session(detail: str, *, probe_after: float = 60.0) -> Callable[[Refusal], SessionRefusedError]:
    return lambda _: SessionRefusedError(
        Throttled(
            "salesforce_session_refused",
            detail,
            waiting_for="salesforce_session",
            probe_after=probe_after,
            probe_cap=60,
        ),
        lasting=probe_after == 60.0,
    )


def _out_of_order(refusal: Refusal) -> TroubleError:
    return TroubleError(
        "salesforce_unavailable",
        f"Salesforce could not serve the call (status {refusal.status}).",
        retry_after=refusal.retry_after,
    )


def _permanent(code: str, detail: str, *, may_appear: bool = False) -> Callable[[Refusal], Permanent]:
    return lambda _: Permanent(code, detail, may_appear=may_appear)


def _transient(code: str, detail: str) -> Callable[[Refusal], Transient]:
    return lambda refusal: Transient(code, detail, retry_after=refusal.retry_after)


_missing = _permanent(
    "attachment_not_found",
    "Salesforce has no such attachment for the integration user: it is missing, deleted or not shared."
    " Check the id, and that the user may read the record it hangs on.",
    may_appear=True,
)
_deleted = _permanent(
    "attachment_deleted",
    "The attachment lies in Salesforce's recycle bin: restore it there, then `imports retry`, or upload it again.",
)
_hidden = _permanent(
    "salesforce_object_hidden",
    "The integration user may not read an object that is asked for: give it read access to Case, Attachment,"
    " EmailMessage and Files (`imports organization check` tells which is missing), then retry.",
)
_forbidden = _permanent(
    "attachment_refused",
    "Salesforce refuses this to the integration user: give it API Enabled and read access to the record.",
)
_misspelt = _permanent(
    "attachment_id_invalid", "Salesforce takes the id for malformed: send it as Salesforce shows it."
)
_retired = _permanent(
    "salesforce_api_version",
    "The organization does not serve this API version: set another with SALESFORCE_API_VERSION or"
    " `imports organization update`, then retry.",
)
_misunderstood = _permanent(
    "salesforce_request_refused",
    "Salesforce refuses the call as one it does not understand; check the API version, then report this.",
)
_no_api_session = _session(
    "Salesforce gives the integration user sessions that may not use the REST API: give the app the OAuth scope"
    " `api`, and the user the permission API Enabled."
)
_low_assurance = _session(
    "Salesforce asks the integration user for a session of high assurance, which an API login never has: set the"
    " session security level that its profile, or the policy of the app, requires to Standard."
)
_wrong_address = _session(
    "Salesforce takes no session from the workers' address: add it to the login IP ranges of the integration user's"
    " profile, or relax the IP restrictions of the app."
)
# What this one says can also be a session that was ended a moment after it was made, which is over at once:
# so it is first asked again soon.
_refused_session = _session(
    "Salesforce refuses each session that it has just given: check the app's OAuth scope `api`, the user's permission"
    " API Enabled, its login IP ranges, and the session security level that is required of it.",
    probe_after=5.0,
)
_locked = _transient("salesforce_record_busy", "Salesforce was busy with the record.")
_lost = _transient(
    "salesforce_listing_lost", "Salesforce no longer knows the listing that was under way; it is begun anew."
)
_odd = _transient("answer_not_a_file", "Salesforce answered with something that is no file.")

TABLE: tuple[Row, ...] = (
    #   status                code                         text             verdict
    Row((), "REQUEST_LIMIT_EXCEEDED", "concurrent", _busy),
    Row((), "REQUEST_LIMIT_EXCEEDED", "totalrequests", _quota),
    Row((403,), "REQUEST_LIMIT_EXCEEDED", "", _quota),
    Row((), "REQUEST_LIMIT_EXCEEDED", "", _busy),
    Row((429,), "", "", _busy),
    *(
        Row(statuses, code, text, verdict)
        for statuses, code in (((401,), ""), ((403,), "INVALID_SESSION_ID"))
        for text, verdict in (
            ("not valid for use", _no_api_session),
            ("assurance", _low_assurance),
            ("session level", _low_assurance),
            ("session security", _low_assurance),
            ("ip address", _wrong_address),
            ("ip range", _wrong_address),
            ("ip restrict", _wrong_address),
            ("", _refused_session),
        )
    ),
    Row((range(300, 400),), "", "", lambda _: MovedError()),
    Row((), "ENTITY_IS_DELETED", "", _deleted),
    Row((410,), "", "", _retired),
    Row((), "UNSUPPORTED_API_VERSION", "", _retired),
    Row((404,), "NOT_FOUND", "api version", _retired),
    Row((404,), "", "", _missing),
    Row((403,), "SERVER_UNAVAILABLE", "", _out_of_order),
    Row((403,), "", "", _forbidden),
    Row((400,), "INSUFFICIENT_ACCESS", "", _forbidden),
    Row((400,), "INVALID_TYPE", "", _hidden),
    Row((400,), "MALFORMED_ID", "", _misspelt),
    Row((400,), "UNABLE_TO_LOCK_ROW", "", _locked),
    Row((400,), "QUERY_TIMEOUT", "", _locked),
    Row((400,), "INVALID_QUERY_LOCATOR", "", _lost),
    Row((), "UNKNOWN_EXCEPTION", "", _out_of_order),
    Row((), "SERVER_UNAVAILABLE", "", _out_of_order),
    Row((408, 420, range(500, 600)), "", "", _out_of_order),
    Row((range(400, 500),), "", "", _misunderstood),
    Row((), "", "", _odd),
)


def of_refusal(refusal: Refusal) -> Verdict:
    """Judge an answer other than 200."""
    return next(row for row in TABLE if row.fits(refusal)).verdict(refusal)


def of_break(error: Exception) -> Failure | TroubleError:
    """Judge an exception of requests or urllib3: what happened to the connection."""
    causes = tuple(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in _NO_DESCRIPTOR for cause in causes):
        return _no_descriptor()
    if type(error) is OSError:  # requests, before any connection, of a REQUESTS_CA_BUNDLE that is no file
        return _certificate()
    for kinds, verdict in _BREAKS:
        if any(isinstance(cause, kinds) for cause in causes):
            return verdict()
    return TroubleError("salesforce_connection_lost", "The connection to Salesforce broke.")


def _no_descriptor() -> Throttled:
    """Not a word about Salesforce: neither an attempt is counted nor the organization's gate closed."""
    return Throttled(
        "spool_unavailable",
        "The worker has used up its file descriptors; the import goes on when some are free again.",
        waiting_for="spool",
        scope="store",
    )


def _certificate() -> Throttled:
    return Throttled(
        "salesforce_certificate",
        "The certificate of the Salesforce host cannot be trusted: check the URL, or name your own authority's"
        " file in REQUESTS_CA_BUNDLE for the workers.",
        waiting_for="salesforce_certificate",
        probe_after=60,
        probe_cap=60,
    )


def _is(status: int, one: range | int) -> bool:
    return status in one if isinstance(one, range) else status == one


_BREAKS: tuple[tuple[tuple[type[Exception], ...], Callable[[], Failure | TroubleError]], ...] = (
    ((ssl.SSLCertVerificationError,), _certificate),
    (
        (wire.ProxyError, requests.exceptions.ProxyError),
        lambda: unavailable("The proxy lets no call through."),
    ),
    (
        # No connection was made, so nothing can be wrong with the record or with an answer.
        (wire.NewConnectionError, wire.NameResolutionError, wire.ConnectTimeoutError),
        lambda: unavailable("Salesforce cannot be reached: no connection to its host can be made."),
    ),
    (
        (wire.ReadTimeoutError, requests.exceptions.Timeout, TimeoutError),
        lambda: TroubleError("salesforce_too_slow", "Salesforce stopped answering."),
    ),
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk through everything an exception wraps: requests keeps urllib3's as an argument and `reason`."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        wrapped = [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
        waiting += [cause for cause in wrapped if isinstance(cause, BaseException)]
