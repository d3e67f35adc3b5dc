"""Nyström attention without an n × m matrix in memory.

Xiong et al., *Nyströmformer: A Nyström-based Algorithm for Approximating Self-Attention*, AAAI
2021. With m landmarks (means of m consecutive segments of the queries and keys)::

    A   = softmax(q_m k_mᵀ / √d)                    (m, m)
    W   = softmax(q_m kᵀ / √d) v                    (m, d)
    out = softmax(q k_mᵀ / √d) (pinv(A) W)          (n, d)

Both outer softmaxes are `scaled_dot_product_attention` calls, which never store their weights.
"""

from __future__ import annotations

from typing import Literal, get_args

import nystrom_attention
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from napari_hagmil.models.rowwise import LARGE

AttentionKind = Literal["auto", "nystrom", "exact"]

CHEAPER_EXACT = 4
"""Tokens per feature up to which exact attention is cheaper than Nyström (two CPU cores, float32):
at the paper's widths a training step of 32, 256 and 1,000 tokens takes 0.14, 0.44 and 1.8 s
instead of 6.9, 7.2 and 8.9 s."""


class NystromAttention(nystrom_attention.NystromAttention):  # type: ignore[misc]
    """Nyström self-attention; the parameters of the package's layer, a forward of our own.

    The state_dict is the package's (0.0.14). The result depends on the order of the tokens (the
    residual convolution and the landmarks are local): give them in a spatially contiguous order.
    Call it with one bag: the pseudo-inverse starts from a maximum over the whole batch, as in
    the package, so bags of one batch would influence each other.

    Parameters
    ----------
    dim : int
        Features per token.
    dim_head, heads, num_landmarks, pinv_iterations
        As in the package. 6 iterations leave ‖AZA − A‖/‖A‖ at about 0.1, 20 at 1e-4; more than
        about 25 diverge in float32.
    residual_conv_kernel : int
        Length of the depthwise convolution over the values, added to the output.
    eps : float
        Added to the number of tokens of a masked landmark.
    dropout : float
        After the output projection.
    attention : "nystrom", "exact" or "auto"
        "exact" computes softmax(q kᵀ / √d) v with the same parameters: what Nyström converges to
        while every token has its own landmark (A A⁺ A = A), and approximates beyond. "auto" is
        exact for bags of at most 4 · dim tokens, up to where that is cheaper, and Nyström for
        larger ones; with `legacy_padding` it is Nyström at every length.
    legacy_padding : bool
        Without a mask, let the zeros that pad the bag to a multiple of `num_landmarks` take part
        in the attention, as the official HAG-MIL code does. They take attention away; for parity
        only.
    """

    def __init__(
        self,
        dim: int,
        dim_head: int = 64,
        heads: int = 8,
        num_landmarks: int = 256,
        pinv_iterations: int = 6,
        residual: bool = True,
        residual_conv_kernel: int = 33,
        eps: float = 1e-8,
        dropout: float = 0.0,
        *,
        attention: AttentionKind = "nystrom",
        legacy_padding: bool = False,
    ) -> None:
        super().__init__(
            dim, dim_head, heads, num_landmarks, pinv_iterations, residual,
            residual_conv_kernel, eps, dropout,
        )  # fmt: skip
        if attention not in get_args(AttentionKind):
            raise ValueError(
                f"NystromAttention has attention='auto', 'nystrom' or 'exact', not {attention!r}"
            )
        self.dim = dim
        self.attention: AttentionKind = attention
        self.legacy_padding = legacy_padding

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Parameters
        ----------
        x : (b, n, dim)
        mask : (b, n) bool, optional
            False takes no part. Without one every token does.

        Returns
        -------
        (b, n, dim)
        """
        n = x.shape[-2]
        if self.legacy_padding and not self.is_exact(n) and mask is None:
            x = F.pad(x, (0, 0, -n % self.num_landmarks, 0))
        q, k, v = self._heads_of(x)
        del x
        q = q[..., -n:, :]
        if mask is not None:
            # Masked tokens count as zeros in the landmarks and in the residual convolution.
            q, k, v = (t * mask[:, None, :, None].to(t.dtype) for t in (q, k, v))
        attend = self._exact if self.is_exact(n) else self._nystrom
        out = attend(q, k, v, mask)
        if self.residual:
            out = self._add_residual(out, v)
        merged = out.transpose(1, 2).flatten(2)
        del q, k, v, out  # a third of the memory at the peak
        projected: Tensor = self.to_out(merged)
        return projected

    def is_exact(self, n: int) -> bool:
        """Whether a bag of n tokens is attended to exactly."""
        if self.attention == "auto":
            return n <= CHEAPER_EXACT * self.dim and not self.legacy_padding
        return self.attention == "exact"

    def _heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project (b, n, dim) to queries, keys and values, (b, heads, n, dim_head) each."""
        qkv = self.to_qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def row_attention(self, x: Tensor, row: int) -> Tensor:
        """Exact softmax weights with which one token looks at all, mean of the heads.

        What Nyström approximates; linear in n. (b, n, dim) → (b, n).
        """
        q, k, _ = self._heads_of(x)
        similarity = (q[..., row : row + 1, :] @ k.mT) * self.scale
        weights: Tensor = similarity.softmax(-1).mean(1)[:, 0]
        return weights

    def _add_residual(self, out: Tensor, v: Tensor) -> Tensor:
        """Add the depthwise convolution of the values along the tokens, (b, h, n, d)."""
        n = out.shape[-2]
        if torch.is_grad_enabled():
            return out + self._convolved_in_training(v)[..., -n:, :]
        # In slices: the convolution copies its input and output into layouts of twice the size.
        v, half = v[..., -n:, :], self.res_conv.padding[0]
        for start in range(0, n, LARGE):
            stop = min(start + LARGE, n)
            low, high = max(start - half, 0), min(stop + half, n)
            part = self.res_conv(v[..., low:high, :])[..., start - low : stop - low, :]
            out[..., start:stop, :] += part
        return out

    def _convolved_in_training(self, v: Tensor) -> Tensor:
        if v.shape[-2] <= LARGE:
            return self._convolved(v)
        result: Tensor = checkpoint(
            self._convolved, v, use_reentrant=False, preserve_rng_state=False
        )
        return result

    def _convolved(self, v: Tensor) -> Tensor:
        # The length that the package convolves: the same rounding in the weight's gradient.
        n = v.shape[-2]
        padding = 0 if self.is_exact(n) else -n % self.num_landmarks
        length = n + padding
        # oneDNN (torch 2.13, AVX-512) gets that gradient wrong at lengths 15 i + 1 ≥ 46.
        official = self.legacy_padding and self.attention != "exact"
        right = int(not official and length % 15 == 1)
        out: Tensor = self.res_conv(F.pad(v, (0, 0, padding, right)))
        return out[..., :length, :]

    def _exact(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self._masked_attention(q, k, v, mask, mask)

    def _nystrom(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            return self._masked(q, k, v, mask)
        n, m = q.shape[-2], self.num_landmarks
        padding, segment = -n % m, -(-n // m)
        # Padding stands at the left, so it can be left out instead of masked.
        unused = 0 if self.legacy_padding else padding
        blank = unused // segment
        tokens = (torch.arange(n + padding, device=q.device) >= unused)[None]
        q_m, k_m, valid = self._landmarks(q, k, tokens)
        w = F.scaled_dot_product_attention(q_m[..., blank:, :], k, v, scale=self.scale)
        if blank:
            # The package gives a masked row equal weights over tokens and padding alike.
            mean = v.sum(-2, keepdim=True) / (n + padding)
            w = torch.cat((mean.to(w.dtype).expand(-1, -1, blank, -1), w), dim=-2)
        values = (self._inverse(q_m, k_m, valid) @ w)[..., blank:, :]
        return F.scaled_dot_product_attention(q, k_m[..., blank:, :], values, scale=self.scale)

    def _masked(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        padding = -q.shape[-2] % self.num_landmarks
        tokens = F.pad(mask, (padding, 0), value=False)
        q_m, k_m, valid = self._landmarks(q, k, tokens)
        k, v = (F.pad(t, (0, 0, padding, 0)) for t in (k, v))
        w = self._masked_attention(q_m, k, v, valid, tokens)
        values = self._inverse(q_m, k_m, valid) @ w
        return self._masked_attention(q, k_m, values, mask, valid)

    def _masked_attention(
        self, q: Tensor, k: Tensor, v: Tensor, rows: Tensor, columns: Tensor
    ) -> Tensor:
        """Attention of (b, h, r, d) to (b, h, c, d); masked rows get the mean, as in the package.

        `rows` (b, r) and `columns` (b, c) are bool; no (r, c) mask is made.
        """
        bias = torch.zeros(columns.shape, dtype=q.dtype, device=q.device)
        bias = bias.masked_fill(~columns, torch.finfo(q.dtype).min)[:, None, None, :]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=self.scale)
        return torch.where(rows[:, None, :, None], out, v.mean(-2, keepdim=True))

    def _landmarks(self, q: Tensor, k: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean queries and keys of m segments, (b, h, m, d) each, and which hold a token, (b, m).

        `tokens` (b, n + padding) says which positions count; what does not must be 0 in q and k.
        """
        m = self.num_landmarks
        count = tokens.reshape(len(tokens), m, -1).sum(-1)
        divisor = (count + self.eps).to(q.dtype)[:, None, :, None]
        q_m, k_m = ((_segment_sums(t, m) / divisor).to(t.dtype) for t in (q, k))
        return q_m, k_m, count > 0

    def _inverse(self, q_m: Tensor, k_m: Tensor, valid: Tensor) -> Tensor:
        """Pseudo-inverse of the landmarks' attention, (b, h, m, m).

        Its iterations would keep some thirty (m, m) matrices per head for the backward pass:
        computed again there instead.
        """
        if torch.is_grad_enabled() and q_m.requires_grad:
            inverse: Tensor = checkpoint(
                _landmark_inverse, q_m, k_m, valid, self.scale, self.pinv_iterations,
                use_reentrant=False, preserve_rng_state=False,
            )  # fmt: skip
            return inverse
        return _landmark_inverse(q_m, k_m, valid, self.scale, self.pinv_iterations)


def iterative_pinv(a: Tensor, iterations: int = 6) -> Tensor:
    """Moore–Penrose inverse of softmax matrices (…, m, m) by a third-order iteration.

    Razavi et al. 2014, as used in Nyströmformer, Eq. 11, from Z = Aᵀ / (‖A‖₁ ‖A‖∞)::

        Z ← Z (13 I − AZ (15 I − AZ (7 I − AZ))) / 4

    Both norms are maxima over all matrices given. Inverses of a well-conditioned A converge in
    about 20 iterations; float32 rounding grows beyond some 25.
    """
    magnitude = a.abs()
    z = a.mT / (magnitude.sum(-1).amax() * magnitude.sum(-2).amax())
    for _ in range(iterations):
        az = a @ z
        inner = _minus_from_diagonal(az.clone(), 7)
        inner = _minus_from_diagonal(az @ inner, 15)
        inner = _minus_from_diagonal(az @ inner, 13)
        z = (z @ inner).mul_(0.25)
    return z


def _minus_from_diagonal(a: Tensor, value: float) -> Tensor:
    """Value · I − A, in place."""
    a.neg_().diagonal(dim1=-2, dim2=-1).add_(value)
    return a


def _landmark_inverse(
    q_m: Tensor, k_m: Tensor, valid: Tensor, scale: float, iterations: int
) -> Tensor:
    # In half precision the iteration does not converge: float32 there, autocast or not.
    precise = torch.promote_types(q_m.dtype, torch.float32)
    with torch.autocast(q_m.device.type, enabled=False):
        similarity = (q_m.to(precise) @ k_m.to(precise).mT) * scale
        pairs = valid[:, None, :, None] & valid[:, None, None, :]
        similarity = similarity.masked_fill(~pairs, -torch.finfo(precise).max)
        return iterative_pinv(similarity.softmax(-1), iterations).to(q_m.dtype)


def _segment_sums(t: Tensor, m: int) -> Tensor:
    """Sum over m equal segments of (…, n, d), as if zeros made n a multiple of m at the left."""
    n = t.shape[-2]
    padding, segment = -n % m, -(-n // m)
    blank, cut = divmod(padding, segment)
    first = (segment - cut) % segment  # tokens of the segment that also holds padding
    whole = t[..., first:, :].unflatten(-2, (-1, segment)).sum(-2)  # type: ignore[no-untyped-call]
    parts = [t.new_zeros(*t.shape[:-2], blank, t.shape[-1]), whole]
    if first:
        parts.insert(1, t[..., :first, :].sum(-2, keepdim=True))
    return torch.cat(parts, dim=-2)
