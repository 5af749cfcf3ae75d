"""The rotation of the key that seals secrets and variables; the administrator's."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from supervisor.front.api.context import Acting, Given
from supervisor.store.ring.key_file import KEY_NAME
from supervisor.store.ring.rotation import rotate

router = APIRouter(prefix="/sealing-key", tags=["server"])


class RotationOut(BaseModel):
    """How far a rotation is."""

    keys: list[str] = Field(
        description="what tells the keys of the server from others, the oldest first; two during a rotation"
    )
    left: int = Field(description="secrets and variables that the older key has sealed")


@router.post("/rotate")
async def rotate_sealing_key(context: Given, acting: Acting) -> RotationOut:
    """Replace the key that seals secrets and variables, or go on with that.

    It works for some seconds and says what is left; ask again until \"keys\" has one only.  Everything can
    be read and set meanwhile.
    """

    async def announce() -> None:
        await context.control.changed("sealing", "-")

    key_file = context.settings.front_dir / KEY_NAME
    progress = await context.to_its_end(rotate(key_file, acting.resealing, announce))
    return RotationOut(keys=list(progress.ids), left=progress.left)
