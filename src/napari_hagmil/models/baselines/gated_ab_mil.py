"""Attention-based MIL with the gating mechanism."""

from __future__ import annotations

from napari_hagmil.models.baselines.ab_mil import ABMIL


class GatedABMIL(ABMIL):
    """Attention-based MIL with gated attention.

    Ilse et al., *Attention-based Deep Multiple Instance Learning*, ICML 2018, Eq. 7 and 9: as
    `ABMIL`, with a = softmax_i(wᵀ (tanh(V h_i) ⊙ σ(U h_i))).
    """

    gated = True
