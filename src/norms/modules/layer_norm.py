"""LayerNorm of maps (N, C, H, W) over the channels of each position; torch's own expects C in the last dimension."""

from torch import Tensor, nn


class MapLayerNorm(nn.LayerNorm):
    """LayerNorm of maps (N, C, H, W), with one mean and one variance per position, over its channels."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps (N, C, H, W)."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
