"""CodeCommit: bare repositories on disk, their branches, files and commits, and git over HTTP.

moto keeps the names of repositories only, so that every operation is answered here or refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from seedbed.sandbox.identity import Principal
from seedbed.sandbox.service import Service, ServiceError, unsupported
from seedbed.sandbox.services.git import codecommit_files, http, store
from seedbed.sandbox.services.git.codecommit_changes import Repository, tell
from seedbed.sandbox.services.git.store import HEADS, Change
from seedbed.sandbox.services.permission import judge
from seedbed.sandbox.world import Context

NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)
ARN = re.compile(r"arn:[a-z-]+:codecommit:[a-z0-9-]+:\d{12}:[\w.-]+", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
URL = re.compile(r"(?:/_git/git-codecommit/(?P<region>[a-z0-9-]+)\.amazonaws\.com)?/v1/repos/(.+)")


class CodeCommit(Service):
    name: ClassVar[str] = "codecommit"

    def has(self, operation: str) -> bool:
        """Claim every operation: moto's CodeCommit knows nothing of these repositories."""
        del operation
        return True

    def call(self, ctx: Context, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if not super().has(operation):
            raise unsupported(f"codecommit:{operation}")
        try:
            return super().call(ctx, operation, params)
        except (ServiceError, store.GitError):
            if "repositoryName" in params and operation != "CreateRepository":
                self.find(ctx, params["repositoryName"])  # it may have gone while it was read
            raise

    # Repositories

    def create_repository(
        self,
        ctx: Context,
        repositoryName: str,
        repositoryDescription: str | None = None,
        tags: dict[str, str] | None = None,
        kmsKeyId: str | None = None,
    ) -> dict[str, Any]:
        _check_name(repositoryName)
        now, number = self.world.now(), self.world.uuid()
        made = Repository(
            repositoryName,
            number,
            f"arn:aws:codecommit:{ctx.region}:{ctx.owner}:{repositoryName}",
            self.world.path("git", ctx.owner, ctx.region) / number,
            now,
            now,
            repositoryDescription,
            kmsKeyId,
            dict(tags or {}),
        )
        with self.lock:
            if repositoryName in self.state(ctx):
                message = f"Repository named {repositoryName} already exists"
                raise ServiceError("RepositoryNameExistsException", message)
            store.create(self.world, made.folder)
            self.state(ctx)[repositoryName] = made
        return {"repositoryMetadata": self._metadata(made)}

    def get_repository(self, ctx: Context, repositoryName: str) -> dict[str, Any]:
        return {"repositoryMetadata": self._metadata(self.find(ctx, repositoryName))}

    def batch_get_repositories(self, ctx: Context, repositoryNames: list[str]) -> dict[str, Any]:
        known = self.state(ctx)
        return {
            "repositories": [self._metadata(known[one]) for one in repositoryNames if one in known],
            "repositoriesNotFound": [one for one in repositoryNames if one not in known],
        }

    def list_repositories(
        self, ctx: Context, sortBy: str = "repositoryName", order: str = "ascending"
    ) -> dict[str, Any]:
        known = list(self.state(ctx).values())
        keys: dict[str, Callable[[Repository], Any]] = {
            "repositoryName": lambda one: one.name,
            "lastModifiedDate": lambda one: one.changed,
        }
        known.sort(key=keys[sortBy], reverse=order == "descending")
        return {
            "repositories": [{"repositoryName": one.name, "repositoryId": one.id} for one in known]
        }

    def delete_repository(self, ctx: Context, repositoryName: str) -> dict[str, Any]:
        with self.lock:
            gone = self.state(ctx).pop(repositoryName, None)
        if gone is None:
            return {}
        shutil.rmtree(gone.folder, ignore_errors=True)
        return {"repositoryId": gone.id}

    def update_repository_description(
        self, ctx: Context, repositoryName: str, repositoryDescription: str | None = None
    ) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        found.description, found.changed = repositoryDescription, self.world.now()
        return {}

    def update_repository_name(self, ctx: Context, oldName: str, newName: str) -> dict[str, Any]:
        _check_name(newName)
        with self.lock:
            found = self.find(ctx, oldName)
            if newName in self.state(ctx):
                message = f"Repository named {newName} already exists"
                raise ServiceError("RepositoryNameExistsException", message)
            found.name, found.changed = newName, self.world.now()
            found.arn = found.arn.rpartition(":")[0] + f":{newName}"
            self.state(ctx)[newName] = self.state(ctx).pop(oldName)
        return {}

    def update_repository_encryption_key(
        self, ctx: Context, repositoryName: str, kmsKeyId: str
    ) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        before, found.key = found.key, kmsKeyId
        original = {"originalKmsKeyId": before} if before else {}
        return {"repositoryId": found.id, "kmsKeyId": kmsKeyId, **original}

    def _metadata(self, one: Repository) -> dict[str, Any]:
        region, account = one.arn.split(":")[3:5]
        default = store.head(self.world, one.folder)
        exists = store.commit_of(self.world, one.folder, HEADS + default)
        optional = {
            "repositoryDescription": one.description,
            "kmsKeyId": one.key,
            "defaultBranch": default if exists else None,
        }
        place = (
            "" if region == self.world.region else f"/_git/git-codecommit/{region}.amazonaws.com"
        )
        return {
            "accountId": account,
            "repositoryId": one.id,
            "repositoryName": one.name,
            "lastModifiedDate": one.changed,
            "creationDate": one.created,
            "cloneUrlHttp": f"{self.world.endpoint}{place}/v1/repos/{one.name}",
            "Arn": one.arn,
            **{key: value for key, value in optional.items() if value},
        }

    def find(self, ctx: Context, name: str) -> Repository:
        """Return a repository of this account and region.

        Raises:
            ServiceError: There is none of that name.
        """
        return self._found(ctx.owner, ctx.region, name)

    def _found(self, account: str, region: str, name: str) -> Repository:
        found = self.world.store(self.name, account, region).get(name)
        if not isinstance(found, Repository):
            raise ServiceError("RepositoryDoesNotExistException", f"{name} does not exist")
        return found

    # Tags

    def tag_resource(self, ctx: Context, resourceArn: str, tags: dict[str, str]) -> dict[str, Any]:
        self._by_arn(ctx, resourceArn).tags.update(tags)
        return {}

    def untag_resource(self, ctx: Context, resourceArn: str, tagKeys: list[str]) -> dict[str, Any]:
        tags = self._by_arn(ctx, resourceArn).tags
        for key in tagKeys:
            tags.pop(key, None)
        return {}

    def list_tags_for_resource(self, ctx: Context, resourceArn: str) -> dict[str, Any]:
        return {"tags": dict(self._by_arn(ctx, resourceArn).tags)}

    def _by_arn(self, ctx: Context, arn: str) -> Repository:
        if not ARN.fullmatch(arn):
            raise ServiceError("InvalidResourceArnException", f"{arn} is no repository's ARN")
        return self._found(ctx.owner, arn.split(":")[3], arn.rpartition(":")[2])

    def resource_tags(self, arn: str) -> Mapping[str, str] | None:
        region, account, name = arn.split(":")[3:6]
        found = self.world.stores(self.name).get((account, region), {}).get(name)
        return None if found is None else dict(found.tags)

    # Branches

    def get_branch(self, ctx: Context, repositoryName: str, branchName: str) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        commit = self._tip(found, branchName)
        return {"branch": {"branchName": branchName, "commitId": commit}}

    def list_branches(self, ctx: Context, repositoryName: str) -> dict[str, Any]:
        every = store.refs(self.world, self.find(ctx, repositoryName).folder)
        return {"branches": [one[len(HEADS) :] for one in every if one.startswith(HEADS)]}

    def create_branch(
        self, ctx: Context, repositoryName: str, branchName: str, commitId: str
    ) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        self._check_commit(found, commitId, "CommitDoesNotExistException")
        if self._known(found, branchName):
            message = f"Branch {branchName} already exists"
            raise ServiceError("BranchNameExistsException", message)
        self._change(ctx, found, "update-ref", HEADS + branchName, commitId)
        return {}

    def delete_branch(self, ctx: Context, repositoryName: str, branchName: str) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        if branchName == store.head(self.world, found.folder):
            message = f"{branchName} is the default branch"
            raise ServiceError("DefaultBranchCannotBeDeletedException", message)
        commit = self._known(found, branchName)
        if commit is None:
            return {}
        self._change(ctx, found, "update-ref", "-d", HEADS + branchName)
        return {"deletedBranch": {"branchName": branchName, "commitId": commit}}

    def update_default_branch(
        self, ctx: Context, repositoryName: str, defaultBranchName: str
    ) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        self._tip(found, defaultBranchName)
        ref = HEADS + defaultBranchName
        store.run(self.world, found.folder, "symbolic-ref", "HEAD", ref)
        return {}

    def _check_branch(self, name: str) -> None:
        try:
            words = ("check-ref-format", HEADS + name)
            store.run(self.world, self.world.path("git"), *words)
        except store.GitError as error:
            text = f"{name!r} is no name of a branch"
            raise ServiceError("InvalidBranchNameException", text) from error

    def _known(self, one: Repository, branch: str) -> str | None:
        return store.refs(self.world, one.folder).get(HEADS + branch)

    def _tip(self, one: Repository, branch: str) -> str:
        commit = self._known(one, branch)
        if commit is None:
            message = f"Branch {branch} does not exist in {one.name}"
            raise ServiceError("BranchDoesNotExistException", message)
        return commit

    def _check_commit(self, one: Repository, commit: str, code: str) -> None:
        if not COMMIT.fullmatch(commit):
            raise ServiceError("InvalidCommitIdException", f"{commit} is no commit id")
        if store.commit_of(self.world, one.folder, commit) != commit:
            raise ServiceError(code, f"{commit} does not exist in {one.name}")

    def _change(self, ctx: Context, one: Repository, *words: str, stdin: bytes = b"") -> None:
        try:
            with store.changing(self.world, one.folder) as changes:
                store.run(self.world, one.folder, *words, stdin=stdin)
        except store.GitError as error:
            raise ServiceError("InvalidBranchNameException", str(error)) from error
        tell(self.world, one, ctx.principal, changes)

    # Commits and files

    def get_commit(self, ctx: Context, repositoryName: str, commitId: str) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        self._check_commit(found, commitId, "CommitIdDoesNotExistException")
        return {"commit": codecommit_files.commit(self.world, found.folder, commitId)}

    def get_file(
        self, ctx: Context, repositoryName: str, filePath: str, commitSpecifier: str | None = None
    ) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        commit = self._specified(found, commitSpecifier)
        return codecommit_files.file(self.world, found.folder, commit, filePath)

    def get_folder(
        self, ctx: Context, repositoryName: str, folderPath: str, commitSpecifier: str | None = None
    ) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        commit = self._specified(found, commitSpecifier)
        return codecommit_files.folder(self.world, found.folder, commit, folderPath)

    def _specified(self, one: Repository, said: str | None) -> str:
        commit = store.commit_of(self.world, one.folder, said or "HEAD")
        if commit is None:
            raise ServiceError("CommitDoesNotExistException", f"{said or 'HEAD'} does not exist")
        return commit

    def create_commit(
        self,
        ctx: Context,
        *,
        repositoryName: str,
        branchName: str,
        parentCommitId: str | None = None,
        authorName: str | None = None,
        email: str = "",
        commitMessage: str = "",
        putFiles: Iterable[Mapping[str, Any]] = (),
        deleteFiles: Iterable[Mapping[str, Any]] = (),
    ) -> dict[str, Any]:
        found = self.find(ctx, repositoryName)
        draft = codecommit_files.Draft(
            branchName,
            parentCommitId,
            authorName or ctx.principal.session_name or ctx.principal.name,
            email,
            commitMessage,
            list(putFiles),
            [one["filePath"] for one in deleteFiles],
        )
        self._check_branch(branchName)
        with store.changing(self.world, found.folder) as changes:
            answer = codecommit_files.write(self.world, found.folder, draft)
        tell(self.world, found, ctx.principal, changes)
        return answer

    def put_file(
        self,
        ctx: Context,
        *,
        repositoryName: str,
        branchName: str,
        fileContent: bytes,
        filePath: str,
        fileMode: str = "NORMAL",
        parentCommitId: str | None = None,
        commitMessage: str = "",
        name: str | None = None,
        email: str = "",
    ) -> dict[str, Any]:
        put = {"filePath": filePath, "fileMode": fileMode, "fileContent": fileContent}
        answer = self.create_commit(
            ctx,
            repositoryName=repositoryName,
            branchName=branchName,
            parentCommitId=parentCommitId,
            authorName=name,
            email=email,
            commitMessage=commitMessage or f"Added {filePath}",
            putFiles=[put],
        )
        (blob,) = answer["filesAdded"] + answer["filesUpdated"]
        return {
            "commitId": answer["commitId"],
            "treeId": answer["treeId"],
            "blobId": blob["blobId"],
        }

    # Git over HTTP

    def serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return http.serve(self.world, environ, start_response, self._reach, self._pushed)

    def _reach(
        self, principal: Principal, path: str, write: bool, changed: tuple[str, ...]
    ) -> Path:
        region, name = self._addressed(path)
        arn = f"arn:aws:codecommit:{region}:{principal.account}:{name}"
        action = "codecommit:GitPush" if write else "codecommit:GitPull"
        for ref in changed or (None,):
            context = {"codecommit:references": (ref,)} if ref else {}
            asked = {"repositoryName": name} | ({"reference": ref} if ref else {})
            judge(self.world, principal, action, arn, region, context=context, params=asked)
        try:
            return self._found(principal.account, region, name).folder
        except ServiceError as error:
            raise ServiceError(error.code, error.message, 404) from error

    def _addressed(self, path: str) -> tuple[str, str]:
        found = URL.fullmatch(path)
        if found is None:
            raise ServiceError("RepositoryDoesNotExistException", f"no repository at {path}", 404)
        return found["region"] or self.world.region, found[2]

    def _pushed(self, principal: Principal, path: str, changes: list[Change]) -> None:
        region, name = self._addressed(path)
        tell(self.world, self._found(principal.account, region, name), principal, changes)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name.endswith(".git"):
        message = f"{name!r} is no valid repository name"
        raise ServiceError("InvalidRepositoryNameException", message)
