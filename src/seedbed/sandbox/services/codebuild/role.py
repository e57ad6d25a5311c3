"""The service role of a build: as whom it reaches AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedbed.sandbox.identity import Principal
from seedbed.sandbox.world import Context


@dataclass(frozen=True)
class Role:
    """A service role, which codebuild.amazonaws.com assumes for one build."""

    ctx: Context
    arn: str
    project_arn: str
    session: str

    @classmethod
    def of(cls, ctx: Context, build: Mapping[str, Any]) -> Role:
        region, account = build["arn"].split(":")[3:5]
        project = f"arn:aws:codebuild:{region}:{account}:project/{build['projectName']}"
        session = f"AWSCodeBuild-{build['id'].rpartition(':')[2]}"
        return cls(ctx, build["serviceRole"], project, session)

    def client(self, service: str) -> Any:
        return self.ctx.client(
            service,
            role_arn=self.arn,
            source_arn=self.project_arn,
            session_name=self.session,
        )

    def environment(self) -> dict[str, str]:
        return self.ctx.environment(
            role_arn=self.arn, source_arn=self.project_arn, session_name=self.session
        )

    def principal(self) -> Principal:
        """Return the role as IAM judges it, for what has no API."""
        held = self.ctx.world.session(self.environment()["AWS_ACCESS_KEY_ID"])
        assert held is not None  # noqa: S101 (just handed out)
        return held.principal
