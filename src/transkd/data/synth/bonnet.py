"""The bonnet of the camera's own car."""

from __future__ import annotations

from .canvas import Brush
from .labels import Label
from .site import Site


def paint_bonnet(site: Site) -> None:
    """Paint the bonnet of the camera's own car along the lower edge: class ego vehicle, which is void."""
    height, width, dice = site.canvas.height, site.canvas.width, site.dice
    shade = dice.uniform(20, 120) * max(0.4, site.light.face(0, -1))
    brush, rise = Brush(Label.EGO_VEHICLE, 1.5, 4), dice.uniform(0.05, 0.11)
    centre, radii = (width * 0.5, height * 1.02), (width * 0.62, height * rise)
    site.canvas.ellipse(centre, radii, (shade, shade, shade * 1.05), brush)
