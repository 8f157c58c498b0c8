"""Norms over the channels of each position of a map; torch's own layers expect the channels in the last dimension."""

from torch import Tensor, nn


class MapLayerNorm(nn.LayerNorm):
    """LayerNorm of maps (N, C, H, W), with one mean and one variance per position, over its channels."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps (N, C, H, W)."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RMSNorm(nn.RMSNorm):
    """torch's RMSNorm of values (..., C), which computes in the precision of its gain, as LayerNorm does on a GPU."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the normalised values (..., C)."""
        return super().forward(values.to(self.weight.dtype))  # torch warns if the precisions differ


class MapRMSNorm(RMSNorm):
    """RMSNorm of maps (N, C, H, W), with one mean of squares per position, over its channels."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps (N, C, H, W)."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
