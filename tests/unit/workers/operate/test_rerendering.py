"""`imports rerender` writes down what is to be rendered anew, once, and says how much that is."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from tests.unit.workers.operate.conftest import ORGANIZATION, Imports
from workers.imaging.naming import recipe_id
from workers.imaging.variants import DEFAULT, parse


def put(imports: Imports, recipe: str, organization_id: str = ORGANIZATION) -> str:
    image_id = str(uuid.uuid4())
    if imports.db.organizations.find_one({"_id": ORGANIZATION}) is None:
        imports.organization()
    imports.db.images.insert_one(
        {
            "_id": image_id,
            "organization_id": organization_id,
            "original": {"key": "k"},
            "bytes": 3,
            "recipe": recipe,
            "thumbnails": [],
            "created_at": datetime.now(UTC),
        }
    )
    return image_id


def test_only_images_of_another_recipe_are_ordered_and_only_once(imports: Imports) -> None:
    """A dry run counts and writes nothing; a second run orders nothing twice."""
    old, another = put(imports, "1-old"), put(imports, "1-old", str(uuid.uuid4()))
    put(imports, recipe_id(parse(DEFAULT)))
    assert imports.json("rerender", "--dry-run")["outdated"] == 1
    assert imports.db.rerenders.count_documents({}) == 0
    assert imports.json("rerender", "--no-wait") == {"ordered": 1, "succeeded": 0, "failed": []}
    imports.json("rerender", "--no-wait")
    (ordered,) = imports.db.rerenders.find()
    assert [one["depth"] for one in imports.json("queues") if one["queue"] == "rerender"] == [1]
    assert (ordered["record_id"], ordered["status"]) == (old, "fetched")
    assert ordered["recipe"] == recipe_id(parse(DEFAULT))
    assert another != ordered["record_id"], "an organization that is gone has no recipe"


def test_an_organizations_own_recipe_makes_its_images_outdated(imports: Imports) -> None:
    """Given, shown, refused where it means nothing, and taken back."""
    put(imports, recipe_id(parse(DEFAULT)))
    own = f"{DEFAULT}, square 200x200 cover"
    assert imports.json("organization", "update", ORGANIZATION, "--thumbnails", own)["thumbnails"] == own
    assert imports.json("rerender", "--dry-run")["outdated"] == 1
    refused = imports.run("organization", "update", ORGANIZATION, "--thumbnails", "nonsense")
    assert refused.exit_code == 2
    assert imports.json("organization", "update", ORGANIZATION, "--thumbnails", "")["thumbnails"] is None
    assert imports.json("rerender", "--dry-run")["outdated"] == 0


def test_what_has_ended_is_told(imports: Imports) -> None:
    """Watching ends when everything has; one that failed is named, and the exit code says so."""
    put(imports, "1-old")
    imports.json("rerender", "--no-wait")
    imports.db.rerenders.update_many({}, {"$set": {"status": "canceled"}, "$unset": {"due_at": ""}})
    told = imports.json("rerender", code=1)
    assert (told["ordered"], told["succeeded"], len(told["failed"])) == (1, 0, 1)


def test_images_may_be_named(imports: Imports) -> None:
    """Others are left alone, and a filter that fits nothing is no fault."""
    one, _ = put(imports, "1-old"), put(imports, "1-old")
    assert imports.json("rerender", one, "--dry-run")["outdated"] == 1
    assert imports.json("rerender", "--organization", str(uuid.uuid4()), "--dry-run")["outdated"] == 0
    assert imports.json("rerender", "--since", "1h", "--dry-run")["outdated"] == 2
