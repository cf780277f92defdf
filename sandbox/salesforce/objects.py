"""List the objects of the organization: the name, prefix, fields and rows of each, as the Object Reference has them.

https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta: one page an object, of which the
fields that concern files are kept here.
"""

from __future__ import annotations

from sandbox.salesforce.records import Records
from sandbox.salesforce.sessions import ORGANIZATION_ID
from sandbox.salesforce.tables import (
    OWNER_ID,
    PICTURES_CASE_ID,
    SAMPLE_CASE_ID,
    WRITTEN_AT,
    Attachments,
    Record,
    Table,
)


def tables_of(attachments: Attachments, records: Records) -> dict[str, Table]:
    """List the objects this organization has, by their lower-case name."""
    cases = {
        case_id: Record(case_id, {"CaseNumber": number, "Subject": subject, "CreatedDate": WRITTEN_AT})
        for case_id, number, subject in (
            (SAMPLE_CASE_ID, "00001026", "A dozen sample pictures"),
            (PICTURES_CASE_ID, "00001027", "Pictures of your own"),
        )
    }
    organization = {ORGANIZATION_ID: Record(ORGANIZATION_ID, {"Name": "Sandbox"})}
    user = {
        OWNER_ID: Record(OWNER_ID, {"Name": "Integration User", "Username": "integration@sandbox.example"})
    }
    tables = (
        Table(
            "Attachment",
            "00P",
            (
                "Id",
                "IsDeleted",
                "ParentId",
                "Name",
                "IsPrivate",
                "ContentType",
                "BodyLength",
                "Body",
                "OwnerId",
                "CreatedDate",
                "Description",
            ),
            attachments.rows,
            blob_field="Body",
            size_field="BodyLength",
        ),
        Table(
            "Document",
            "015",
            (
                "Id",
                "FolderId",
                "IsDeleted",
                "Name",
                "DeveloperName",
                "ContentType",
                "Type",
                "BodyLength",
                "Body",
                "Url",
                "Description",
                "CreatedDate",
            ),
            lambda: records.rows("Document"),
            blob_field="Body",
            size_field="BodyLength",
        ),
        Table(
            "ContentVersion",
            "068",
            (
                "Id",
                "ContentDocumentId",
                "IsLatest",
                "IsDeleted",
                "Title",
                "PathOnClient",
                "FileType",
                "FileExtension",
                "ContentSize",
                "ContentSizeLong",
                "Checksum",
                "ContentLocation",
                "ContentUrl",
                "FirstPublishLocationId",
                "VersionNumber",
                "VersionData",
                "Description",
                "OwnerId",
                "CreatedDate",
            ),
            lambda: records.rows("ContentVersion"),
            blob_field="VersionData",
            size_field="ContentSize",
            since={"ContentSizeLong": 66},
        ),
        Table(
            "ContentDocument",
            "069",
            (
                "Id",
                "LatestPublishedVersionId",
                "Title",
                "FileType",
                "FileExtension",
                "ContentSize",
                "IsDeleted",
                "OwnerId",
                "CreatedDate",
            ),
            records.documents,
        ),
        Table(
            "ContentDocumentLink",
            "06A",
            ("Id", "ContentDocumentId", "LinkedEntityId", "ShareType", "Visibility", "IsDeleted"),
            lambda: records.rows("ContentDocumentLink"),
            filtered_by=("id", "contentdocumentid", "linkedentityid"),
        ),
        Table(
            "EmailMessage",
            "02s",
            (
                "Id",
                "ParentId",
                "Subject",
                "FromAddress",
                "Incoming",
                "Status",
                "HasAttachment",
                "CreatedDate",
            ),
            lambda: records.rows("EmailMessage"),
        ),
        Table(
            "Case",
            "500",
            ("Id", "CaseNumber", "Subject", "CreatedDate"),
            lambda: {**cases, **records.rows("Case")},
        ),
        Table("Organization", "00D", ("Id", "Name"), lambda: organization),
        Table("User", "005", ("Id", "Name", "Username"), lambda: user),
    )
    return {table.name.lower(): table for table in tables}
