"""The S3 endpoint of the fake of Supabase Storage.

As the real one (supabase/storage src/http/routes/s3, src/storage/protocols/s3/s3-handler.ts): signatures are checked,
but no checksum of any kind, not even the body's hash that was signed; HEAD and lists are answered out of the database,
GET by the backend; the errors' XML has a namespace on its root, which leaves boto3 without a code.
"""

from __future__ import annotations

import secrets
import urllib.parse
from email.utils import format_datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers.supabase_state import S3_ACCESS_KEY, S3_REGION, S3_SECRET_KEY, Parts, Refusal, Row, md5

if TYPE_CHECKING:
    from tests.servers.supabase import Handler

_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class S3Endpoint:
    """Answers one request that `handler` has received."""

    def __init__(self, handler: Handler) -> None:
        self.handler, self.service = handler, handler.service
        parts = urllib.parse.urlsplit(handler.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))

    def answer(self, path: str) -> None:
        """Answer what is asked of `path`: a bucket, or a bucket and a key."""
        bucket, _, key = path.partition("/")
        try:
            self._check_signature()
            if bucket not in self.service.buckets:
                raise Refusal(404, "NoSuchBucket", "Bucket not found")
            run = getattr(self, f"_{self.handler.command.lower()}_{'object' if key else 'bucket'}")
            run(bucket, key)
        except Refusal as refusal:
            self.handler.body()
            said = f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
            self._xml("Error", f"<Resource>{escape(path)}</Resource>{said}", refusal.status)

    def _check_signature(self) -> None:
        headers = self.handler.headers
        fields = dict(
            field.strip().split("=", 1)
            for field in headers.get("Authorization", "").removeprefix("AWS4-HMAC-SHA256").split(",")
            if "=" in field
        )
        if fields.get("Credential", "").split("/")[0] != S3_ACCESS_KEY:
            raise Refusal(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
        signed = {name: headers[name] for name in fields["SignedHeaders"].split(";")}
        url = f"http://{headers['Host']}{self.handler.path}"
        request = AWSRequest(method=self.handler.command, url=url, headers=signed)
        request.context["timestamp"] = headers["X-Amz-Date"]
        signer = S3SigV4Auth(Credentials(S3_ACCESS_KEY, S3_SECRET_KEY), "s3", S3_REGION)
        wanted = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        if fields["Signature"] != wanted:
            raise Refusal(403, "SignatureDoesNotMatch", "Signature does not match")

    # --- buckets

    def _head_bucket(self, bucket: str, key: str) -> None:
        self.handler.send(200, b"")

    def _get_bucket(self, bucket: str, key: str) -> None:
        prefix, rows = self.query.get("prefix", ""), self.service.buckets[bucket].rows
        if "uploads" in self.query:
            uploads = (
                f"<Upload><Key>{escape(parts.name)}</Key><UploadId>{upload_id}</UploadId>"
                f"<Initiated>{parts.begun.isoformat()}</Initiated></Upload>"
                for upload_id, parts in dict(self.service.multiparts).items()
                if parts.bucket == bucket and parts.name.startswith(prefix)
            )
            self._xml("ListMultipartUploadsResult", f"{''.join(uploads)}<IsTruncated>false</IsTruncated>")
            return
        if self.query.get("list-type") != "2":
            raise Refusal(501, "NotImplemented", "not in this fake")
        after, limit = self.query.get("continuation-token", ""), int(self.query.get("max-keys", 1000))
        names = sorted(name for name in dict(rows) if name.startswith(prefix) and name > after)
        entries = "".join(map(_listed, names[:limit], (rows[name] for name in names[:limit])))
        more = len(names) > limit
        token = f"<NextContinuationToken>{escape(names[limit - 1])}</NextContinuationToken>" if more else ""
        encoding = "<EncodingType>url</EncodingType>" if self.query.get("encoding-type") == "url" else ""
        self._xml("ListBucketResult", f"{entries}{token}{encoding}<IsTruncated>{str(more).lower()}</IsTruncated>")

    # --- objects

    def _put_object(self, bucket: str, key: str) -> None:
        content = self.handler.body()
        if self.handler.unread:
            self.handler.close_connection = True
            return
        if "uploadId" in self.query:
            self._parts().contents[int(self.query["partNumber"])] = content
            self.handler.send(200, b"", {"ETag": self.service.etag(content)})
            return
        mark = "x-amz-meta-"
        metadata = {name.removeprefix(mark): value for name, value in self._headers().items() if name.startswith(mark)}
        etag = self.service.etag(content)
        self.service.complete(bucket, key, content, etag, metadata)
        self.handler.send(200, b"", {"ETag": etag})

    def _post_object(self, bucket: str, key: str) -> None:
        body = self.handler.body()
        if "uploads" in self.query:
            upload_id = secrets.token_hex(8)
            self.service.multiparts[upload_id] = Parts(bucket, key, self.service.clock.utcnow())
            self._xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")
            return
        parts, wanted = self._parts(), ElementTree.fromstring(body)
        numbers = [int(number.text or 0) for number in wanted.iter() if number.tag.endswith("PartNumber")]
        contents = [parts.contents[number] for number in numbers]
        etag = f'"{md5(b"".join(map(md5, contents))).hex()}-{len(contents)}"'
        self.service.complete(bucket, key, b"".join(contents), etag, None)
        del self.service.multiparts[self.query["uploadId"]]
        self._xml("CompleteMultipartUploadResult", f"<ETag>{escape(etag)}</ETag>")

    def _head_object(self, bucket: str, key: str) -> None:
        row = self._row(bucket, key)
        headers = {"ETag": row.etag, "Last-Modified": format_datetime(row.modified, usegmt=True)}
        headers |= {f"x-amz-meta-{name}": value for name, value in (row.user_metadata or {}).items()}
        self.handler.send(200, bytes(row.size_bytes), headers)

    def _get_object(self, bucket: str, key: str) -> None:
        if "uploadId" in self.query:
            listed = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(self.service.etag(content))}</ETag>"
                f"<Size>{len(content)}</Size></Part>"
                for number, content in sorted(self._parts().contents.items())
            )
            self._xml("ListPartsResult", f"{listed}<IsTruncated>false</IsTruncated>")
            return
        row = self._row(bucket, key)
        self.handler.send_content(row, {"Last-Modified": format_datetime(row.modified, usegmt=True)})

    def _delete_object(self, bucket: str, key: str) -> None:
        if "uploadId" in self.query:
            self._parts()
            del self.service.multiparts[self.query["uploadId"]]
        elif row := self.service.buckets[bucket].rows.pop(key, None):
            self.service.blobs.pop(row.version, None)
        self.handler.send(204, b"")

    # --- what they share

    def _row(self, bucket: str, key: str) -> Row:
        row = self.service.buckets[bucket].rows.get(key)
        if row is None:
            raise Refusal(404, "NoSuchKey", "Object not found")
        return row

    def _parts(self) -> Parts:
        parts = self.service.multiparts.get(self.query["uploadId"])
        if parts is None:
            raise Refusal(404, "NoSuchUpload", "Upload not found")
        return parts

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.handler.headers.items()}

    def _xml(self, root: str, inside: str, status: int = 200) -> None:
        body = f'<?xml version="1.0" encoding="UTF-8"?><{root} {_NAMESPACE}>{inside}</{root}>'.encode()
        self.handler.send(status, body, {"Content-Type": "application/xml"})


def _listed(name: str, row: Row) -> str:
    key = escape(urllib.parse.quote(name))
    return (
        f"<Contents><Key>{key}</Key><LastModified>{row.modified.isoformat()}</LastModified>"
        f"<ETag>{escape(row.etag)}</ETag><Size>{row.size_bytes}</Size></Contents>"
    )
