"""Keep users: who may submit, and for which organization.

Shape: `_id, organization_id, disabled_at, created_at`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from common.documents.database import Document


@dataclass(frozen=True, slots=True)
class User:
    """One user who may submit now."""

    id: str
    organization_id: str
    gate: Document | None = None  # why the organization's imports wait, where they do


class Users:
    """The operator's side: add, list, disable, enable."""

    def __init__(self, db: Database[Document]) -> None:
        self._users = db.users

    def add(self, user_id: str, *, organization_id: str, now: datetime) -> Document:
        """Add a user; adding the same one again to the same organization changes nothing.

        Raises ValueError where the id belongs to another organization.
        """
        user = {"_id": user_id, "organization_id": organization_id, "disabled_at": None, "created_at": now}
        try:
            self._users.insert_one(user)
        except DuplicateKeyError:
            kept = self.find(user_id)
            if kept is None or kept["organization_id"] != organization_id:
                raise ValueError(
                    f"User {user_id} belongs to another organization; choose another id."
                ) from None
            return kept
        return user

    def find(self, user_id: str) -> Document | None:
        """Return one user, disabled or not."""
        return self._users.find_one({"_id": user_id})

    def list(self, organization_id: str | None = None) -> list[Document]:
        """Return the users, of one organization or of all, oldest first."""
        wanted = {} if organization_id is None else {"organization_id": organization_id}
        return sorted(self._users.find(wanted), key=lambda user: user["created_at"])

    def disable(self, user_id: str, *, now: datetime) -> bool:
        """Refuse the user's tokens from now on. Returns False where there is no such user."""
        return self._users.update_one({"_id": user_id}, {"$set": {"disabled_at": now}}).matched_count == 1

    def enable(self, user_id: str) -> bool:
        """Accept the user's tokens again. Returns False where there is no such user."""
        return self._users.update_one({"_id": user_id}, {"$set": {"disabled_at": None}}).matched_count == 1


class UsersAtDoor:
    """The door's side: whose token is this?"""

    def __init__(self, db: AsyncDatabase[Document]) -> None:
        self._users, self._organizations = db.users, db.organizations

    async def find(self, user_id: str) -> User | None:
        """Return the user, or None where it is unknown, disabled, or its organization is."""
        user = await self._users.find_one({"_id": user_id})
        if user is None or user["disabled_at"] is not None:
            return None
        organization = await self._organizations.find_one(
            {"_id": user["organization_id"]}, {"disabled_at": 1, "gate": 1}
        )
        if organization is None or organization["disabled_at"] is not None:
            return None
        return User(id=user["_id"], organization_id=user["organization_id"], gate=organization.get("gate"))
