"""Images: what Studio may start, their versions, and how it starts them; nothing is started."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from seedbed.sandbox.service import ServiceError, unsupported
from seedbed.sandbox.services.sagemaker.records import Kind, Record, Records
from seedbed.sandbox.world import Context

IMAGE = Kind("Image", ("ImageName",), "image/{ImageName}", status=("ImageStatus", "CREATED"))
VERSION = Kind(
    "ImageVersion",
    ("ImageName", "Version"),
    "image-version/{ImageName}/{Version}",
    status=("ImageVersionStatus", "CREATED"),
)
CONFIG = Kind("AppImageConfig", ("AppImageConfigName",), "app-image-config/{AppImageConfigName}")
SORTED = {"IMAGE_NAME": "ImageName", "VERSION": "Version"}


class Images(Records):
    """Records of images; a version's container is its base image, which nobody looks at."""

    kinds: ClassVar[tuple[Kind, ...]] = (IMAGE, CONFIG)

    def list_images(self, ctx: Context, **params: Any) -> dict[str, Any]:
        return self.listed(ctx, IMAGE, _order(params))

    def delete_image(self, ctx: Context, ImageName: str) -> dict[str, Any]:
        """Remove an image with its versions."""
        found = self.find(ctx, IMAGE, {"ImageName": ImageName})
        with self.lock:
            table = self.table(ctx, VERSION.noun)
            for key in [key for key in table if key[0] == found.said["ImageName"]]:
                del table[key]
        return self.remove(ctx, IMAGE, {"ImageName": ImageName})

    def create_image_version(
        self, ctx: Context, ImageName: str, BaseImage: str, ClientToken: str, **more: Any
    ) -> dict[str, Any]:
        del ClientToken  # a request that is sent again is carried out again
        if "Aliases" in more:
            raise unsupported("the parameter Aliases of sagemaker:CreateImageVersion")
        image = self.find(ctx, IMAGE, {"ImageName": ImageName})
        name = image.said["ImageName"]
        with self.lock:
            table = self.table(ctx, VERSION.noun)
            number = 1 + max((int(key[1]) for key in table if key[0] == name), default=0)
            said = {
                **more, "ImageName": name, "Version": number, "BaseImage": BaseImage,
                "ContainerImage": BaseImage, "ImageArn": image.arn,
            }  # fmt: skip
            record = self.fresh(ctx, VERSION, said, [])
            table[name, str(number)] = record
        return {"ImageVersionArn": record.arn}

    def describe_image_version(self, ctx: Context, **params: Any) -> dict[str, Any]:
        found = self._numbered(ctx, params)
        with self.lock:
            return {
                key: item for key, item in copy.deepcopy(found.said).items() if key != "ImageName"
            }

    def delete_image_version(self, ctx: Context, **params: Any) -> dict[str, Any]:
        if "Version" not in params and "Alias" not in params:
            raise ServiceError("ValidationException", "Version or Alias is required.")
        found = self._numbered(ctx, params)
        with self.lock:
            del self.table(ctx, VERSION.noun)[found.said["ImageName"], str(found.said["Version"])]
        return {}

    def list_image_versions(self, ctx: Context, ImageName: str, **params: Any) -> dict[str, Any]:
        image = self.find(ctx, IMAGE, {"ImageName": ImageName})
        with self.lock:
            every = self.table(ctx, VERSION.noun).items()
            found = [one for key, one in every if key[0] == image.said["ImageName"]]
        return self.listed(ctx, VERSION, _order(params), found)

    def _numbered(self, ctx: Context, params: dict[str, Any]) -> Record:
        """Return the version of a number, or the newest.

        Raises:
            ServiceError: There is no such version.
        """
        if "Alias" in params:
            raise unsupported(f"the parameter Alias of sagemaker:{ctx.operation}")
        image = self.find(ctx, IMAGE, params, "DescribeImage")
        name = image.said["ImageName"]
        with self.lock:
            table = self.table(ctx, VERSION.noun)
            numbers = [int(key[1]) for key in table if key[0] == name]
            number = params.get("Version") or max(numbers, default=0)
            found = table.get((name, str(number)))
        if found is None:
            raise ServiceError("ResourceNotFound", f"ImageVersion {name}/{number} does not exist.")
        return found


def _order(params: dict[str, Any]) -> dict[str, Any]:
    """Return a list's parameters with the words that other lists of SageMaker have for order."""
    said = dict(params)
    if "SortBy" in said:
        words = said["SortBy"]
        said["SortBy"] = SORTED.get(words) or words.replace("_", " ").title().replace(" ", "")
    if "SortOrder" in said:
        said["SortOrder"] = said["SortOrder"].title()
    return said
