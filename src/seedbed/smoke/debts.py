"""What a run has made and owes to remove, and what stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from seedbed.errors import SeedbedError
from seedbed.publishing.aws import Account, told

DAYS = 7  # until a key is deleted; KMS takes no less
ABSENT = {
    "BucketNotFound",
    "NoSuchBucket",
    "PipelineNotFoundException",
    "RepositoryDoesNotExistException",
    "ResourceNotFound",
    "ResourceNotFoundException",
}


@dataclass
class Debt:
    """Something that is there only for this run: how the run removes it, how a person does."""

    what: str
    remedy: str
    pay: Callable[[], None]


@dataclass
class Debts:
    """All debts, the last one to be paid first."""

    say: Callable[[str], None] = print
    progress: Callable[[str], None] = lambda _: None
    owed: list[Debt] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)

    def owe(self, *debts: Debt) -> None:
        self.owed += debts

    def owe_below(self, above: Debt, debts: Sequence[Debt]) -> None:
        """Owe what is to be paid right after another debt, each once."""
        known, at = {one.what for one in self.owed}, self.owed.index(above)
        self.owed[at:at] = [one for one in debts if one.what not in known]

    def settle(self, debt: Debt) -> None:
        """Pay one debt now; until it is paid it stays owed."""
        debt.pay()
        self.owed.remove(debt)

    def clean(self) -> bool:
        """Pay all debts, new ones too; tell whether all are paid."""
        unpaid: list[Debt] = []
        try:
            while self.owed:
                debt = self.owed[-1]
                self.progress(f"removing {debt.what}")
                try:
                    self.settle(debt)
                    self.say(f"removed {debt.what}")
                except (SeedbedError, BotoCoreError, ClientError) as error:
                    self.say(f"FAILED  remove {debt.what}: {' '.join(str(error).split())}")
                    self.owed.remove(debt)
                    unpaid.append(debt)
        finally:
            self.owed += reversed(unpaid)
        return not unpaid

    def lines(self) -> Iterator[str]:
        """Yield what stays, and how to remove it."""
        if self.owed or self.stays:
            yield "What stays, and how to remove it:"
        for debt in reversed(self.owed):
            yield f"  {debt.what}: {debt.remedy}"
        for line in self.stays:
            yield f"  {line}"

    # What a stack leaves

    def retained(self, account: Account, stack: str, flags: str) -> list[Debt]:
        """Return the debts for a stack's keys and buckets."""
        with told(f"stack {stack}"):
            pages = account.client("cloudformation").get_paginator("list_stack_resources")
            listed = [
                (one["ResourceType"], one["PhysicalResourceId"])
                for page in pages.paginate(StackName=stack)
                for one in page["StackResourceSummaries"]
                if one.get("PhysicalResourceId") and one["ResourceStatus"] != "DELETE_COMPLETE"
            ]
        return self.removable(account, listed, flags)

    def removable(
        self, account: Account, listed: Sequence[tuple[str, str]], flags: str
    ) -> list[Debt]:
        """Return the debts for keys, then for buckets; that for access logs is to be paid last."""
        keys = [self.key(account, id_, flags) for type_, id_ in listed if type_ == "AWS::KMS::Key"]
        names = [id_ for type_, id_ in listed if type_ == "AWS::S3::Bucket"]
        names.sort(key=lambda name: "-logs-" not in name)
        return [*keys, *(self.bucket(account, name, flags) for name in names)]

    def key(self, account: Account, key: str, flags: str) -> Debt:
        def pay() -> None:
            account.client("kms").schedule_key_deletion(KeyId=key, PendingWindowInDays=DAYS)
            self.stays.append(f"key {key}: KMS deletes it in {DAYS} days")

        command = f"aws kms schedule-key-deletion --pending-window-in-days {DAYS} --key-id"
        return Debt(f"key {key}", f"{command} {key} {flags}", pay)

    def bucket(self, account: Account, bucket: str, flags: str) -> Debt:
        def pay() -> None:
            s3 = account.client("s3")
            with absent():
                for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                    found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                    ids = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
                    if ids:
                        s3.delete_objects(Bucket=bucket, Delete={"Objects": ids, "Quiet": True})
                s3.delete_bucket(Bucket=bucket)

        command = f"empty it, all versions too, then aws s3 rb s3://{bucket} {flags}"
        return Debt(f"bucket {bucket}", command, pay)


@contextmanager
def absent() -> Iterator[None]:
    """Take what is not there for removed."""
    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        words = ("does not exist", "not found")
        if said["Code"] not in ABSENT and not any(one in said.get("Message", "") for one in words):
            raise
