"""Nystrom attention, row (B) of the paper's ablation (docs/paper.md 1.4; Nystromformer, arXiv 2102.03902)."""

import torch
from torch import Tensor

PSEUDO_INVERSE_STEPS = 6


def nystrom_attention(query: Tensor, key: Tensor, value: Tensor, landmarks: int) -> Tensor:
    """Approximate attention over (B, heads, N, d) through `landmarks` means of consecutive queries and keys.

    Computes softmax(q k~^T) pinv(softmax(q~ k~^T)) softmax(q~ k^T) v, where ~ marks landmarks. The cost is linear in N,
    which must be a multiple of `landmarks`.
    """
    query = query * query.shape[-1] ** -0.5
    # (B, heads, N, d) -> (B, heads, landmarks, N / landmarks, d) -> (B, heads, landmarks, d)
    query_landmarks, key_landmarks = (x.reshape(*x.shape[:2], landmarks, -1, x.shape[3]).mean(3) for x in (query, key))
    to_landmarks = (query @ key_landmarks.transpose(-2, -1)).softmax(-1)
    among_landmarks = (query_landmarks @ key_landmarks.transpose(-2, -1)).softmax(-1)
    from_landmarks = (query_landmarks @ key.transpose(-2, -1)).softmax(-1)
    summary = from_landmarks.to(value.dtype) @ value
    return to_landmarks.to(value.dtype) @ (pseudo_inverse(among_landmarks).to(value.dtype) @ summary)


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """Moore-Penrose inverse of row-stochastic matrices (..., m, m), by six steps of a third-order iteration.

    Computed in float32 or better. It uses no decomposition and is twice differentiable.
    """
    with torch.autocast(matrix.device.type, enabled=False):
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        identity = torch.eye(matrix.shape[-1], device=matrix.device, dtype=matrix.dtype)
        # Upper bound of the squared largest singular value, valid because all entries are positive.
        bound = matrix.sum(-2).amax(-1) * matrix.sum(-1).amax(-1)
        inverse: Tensor = matrix.transpose(-2, -1) / bound[..., None, None]
        for _ in range(PSEUDO_INVERSE_STEPS):
            product = matrix @ inverse
            inverse = 0.25 * inverse @ (13 * identity - product @ (15 * identity - product @ (7 * identity - product)))
        return inverse
