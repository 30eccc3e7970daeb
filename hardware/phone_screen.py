"""Draws a code the way a turnstile's camera sees it on a visitor's phone: tilted, blurred, glaring, noisy, too dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware import library

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hardware.camera import Gray

WIDTH_PX, HEIGHT_PX = 640, 480
SCREEN_WIDTH_PX, SCREEN_HEIGHT_PX = 360, 560  # of the phone before it is tilted
MAX_SHOWN_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Look:
    """How a phone is held and lit. The default is a good phone held straight; `by_chance` is what visitors do."""

    turn_deg: float = 0.0  # in the plane of the picture
    tilt_deg: float = 0.0  # backwards
    yaw_deg: float = 0.0  # sideways
    size: float = 0.8  # height of the screen in heights of the picture
    brightness: float = 1.0
    glare: float = 0.0  # 0 none, 1 white
    blur_px: float = 0.6
    shake_px: int = 1  # length of motion blur
    noise: float = 3.0  # standard deviation, grey levels
    seed: int = 0  # of noise, glare and background

    @classmethod
    def by_chance(cls, seed: int) -> Look:
        """The same look for the same seed."""
        import numpy as np

        chance = np.random.default_rng(seed)
        return cls(
            turn_deg=float(chance.normal(0, 8)),
            tilt_deg=float(chance.uniform(-25, 25)),
            yaw_deg=float(chance.uniform(-25, 25)),
            size=float(chance.uniform(0.7, 0.95)),
            brightness=float(chance.uniform(0.5, 1.1)),
            glare=float(chance.uniform(0, 0.6)),
            blur_px=float(chance.uniform(0.4, 1.1)),
            shake_px=int(chance.integers(1, 4)),
            noise=float(chance.uniform(2, 8)),
            seed=seed,
        )


def draw_phone(text: str, look: Look) -> Gray:
    """A camera's grey picture of a phone that shows `text` as a QR code, level M. ValueError: more than fits a code."""
    import cv2
    import numpy as np

    if not 0 < len(text) <= MAX_SHOWN_CHARS:
        raise ValueError(f"a phone shows 1 to {MAX_SHOWN_CHARS} characters, not {len(text)}")
    chance = np.random.default_rng(look.seed)
    phone = _glared(_phone(text), look, chance)
    scene = _scene(chance)
    place = _place(look)
    size = (WIDTH_PX, HEIGHT_PX)
    seen = cv2.warpPerspective(phone, place, size, flags=cv2.INTER_AREA)
    inside = cv2.warpPerspective(np.full_like(phone, 1.0), place, size, flags=cv2.INTER_LINEAR)
    return _through_the_lens(scene * (1 - inside) + seen * inside, look, chance)


def draw_nobody(look: Look) -> Gray:
    """The same place with no phone in it."""
    import numpy as np

    chance = np.random.default_rng(look.seed)
    return _through_the_lens(_scene(chance), look, chance)


def qr_picture(text: str, pixels: int) -> Gray:
    """`text` as a plain QR code, level M, `pixels` a side of a square, with its quiet zone."""
    with library("segno"):
        import segno
    import numpy as np

    rows = segno.make_qr(text, error="m", boost_error=False).matrix_iter(scale=pixels, border=4)
    return np.array([[0 if dark else 255 for dark in row] for row in rows], np.uint8)


def _phone(text: str) -> NDArray[np.float32]:
    """A phone's front: dark frame, white screen, a line above and two below the code."""
    import cv2
    import numpy as np

    phone = np.full((SCREEN_HEIGHT_PX + 40, SCREEN_WIDTH_PX + 30), 20, np.uint8)
    phone[20:-20, 15:-15] = 245
    squares = qr_picture(text, 1)
    side = SCREEN_WIDTH_PX - 20
    code = cv2.resize(squares, (side, side), interpolation=cv2.INTER_NEAREST)
    top = (phone.shape[0] - side) // 2
    phone[top : top + side, 25 : 25 + side] = np.minimum(code, 245)
    phone[20:70, 15:-15] = 90
    cv2.putText(phone, "PASS", (40, 55), cv2.FONT_HERSHEY_SIMPLEX, 1.0, [240], 2, cv2.LINE_AA)
    for line in (1, 2):
        phone[top + side + 15 * line : top + side + 15 * line + 6, 60 : -60 * line] = 120
    return phone.astype(np.float32)


def _glared(phone: NDArray[np.float32], look: Look, chance: np.random.Generator) -> NDArray[np.float32]:
    """A lamp mirrored in the screen."""
    import numpy as np

    rows, columns = np.mgrid[0 : phone.shape[0], 0 : phone.shape[1]]
    row, column = chance.uniform(0, phone.shape[0]), chance.uniform(0, phone.shape[1])
    spread = chance.uniform(50, 120)
    spot = np.exp(-(((rows - row) / spread) ** 2) - ((columns - column) / (0.6 * spread)) ** 2)
    return np.asarray(phone * look.brightness + 255 * look.glare * spot, np.float32)


def _scene(chance: np.random.Generator) -> NDArray[np.float32]:
    """What stands behind the phone: a few dark, soft shapes."""
    import cv2
    import numpy as np

    shapes = chance.uniform(15, 120, (6, 8)).astype(np.float32)
    return np.asarray(cv2.resize(shapes, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC), np.float32)


def _place(look: Look) -> NDArray[np.float64]:
    """The homography from the phone's front to the picture: a pinhole camera three screen heights away."""
    import numpy as np

    tall, wide = SCREEN_HEIGHT_PX + 40, SCREEN_WIDTH_PX + 30
    turn, tilt, yaw = np.radians([look.turn_deg, look.tilt_deg, look.yaw_deg])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    to_the_middle = np.array([[1, 0, -wide / 2], [0, 1, -tall / 2], [0, 0, 1]])
    distance = 3.0 * tall
    turned = (about_z @ about_x @ about_y)[:, :2]
    before_lens = np.column_stack([turned, [0, 0, distance]])
    focal = distance * look.size * HEIGHT_PX / tall
    lens = np.array([[focal, 0, WIDTH_PX / 2], [0, focal, HEIGHT_PX / 2], [0, 0, 1]])
    return np.asarray(lens @ before_lens @ to_the_middle)


def _through_the_lens(light: NDArray[np.float32], look: Look, chance: np.random.Generator) -> Gray:
    import cv2
    import numpy as np

    seen = cv2.GaussianBlur(light, (0, 0), max(look.blur_px, 0.1))
    if look.shake_px > 1:
        seen = cv2.blur(seen, (look.shake_px, 1))
    noisy = seen + chance.normal(0, look.noise, seen.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)
