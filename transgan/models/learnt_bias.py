"""Attention with a learnt bias on a CPU, where no fused kernel gives the bias a gradient: image by image and head by head."""

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

ONE_BY_ONE_FROM = 2**24  # attention weights of all images and heads: 64 MiB in float32


def suits_one_by_one(query: Tensor, key: Tensor, bias: Tensor) -> bool:
    """Whether the attention weights are too many to be all in memory at once, where `attention_one_by_one` can do without."""
    return (
        query.device.type == "cpu"
        and query.dtype == bias.dtype == torch.float32
        and query.numel() // query.shape[-1] * key.shape[-2] >= ONE_BY_ONE_FROM
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
    )


def attention_one_by_one(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for (B, heads, N, d) and a (heads, N, N) bias, which gets a gradient; differentiable once.

    Its memory beyond inputs and outputs is two N x N matrices, where the usual way keeps one for every image and head: half a gigabyte for the
    1,024 tokens of CIFAR-10's last stage at batch 32, and as much again for each step of its derivative.
    """
    mixed: Tensor = _OneByOne.apply(query, key, value, bias)
    return mixed


class _OneByOne(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.detach()[None])
        ctx.save_for_backward(query, key, value, bias, mixed)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        query, key, value, bias, mixed = ctx.saved_tensors
        images, heads, _, width = query.shape
        scale = width**-0.5
        for_query, for_key, for_value = (torch.empty_like(x) for x in (query, key, value))
        for_bias = torch.zeros_like(bias)
        weights, for_logits = torch.empty_like(bias[0]), torch.empty_like(bias[0])
        scaled = query * scale
        # What softmax subtracts from each row's gradient: the sum over keys of weight times gradient, known from the output.
        shared = (gradient * mixed).sum(-1, keepdim=True)
        for head, image in itertools.product(range(heads), range(images)):  # a head's bias stays in the cache
            at = image, head
            torch.mm(scaled[at], key[at].t(), out=weights)
            torch.softmax(weights.add_(bias[head]), -1, out=weights)
            for_value[at] = (gradient[at].t() @ weights).t()  # MKL takes half as long again for weights.t() @ gradient
            torch.mm(gradient[at], value[at].t(), out=for_logits)
            for_logits.sub_(shared[at]).mul_(weights)
            for_bias[head].add_(for_logits)  # an assignment would copy it, too
            for_query[at] = for_logits @ key[at]
            for_key[at] = (scaled[at].t() @ for_logits).t()
        return for_query.mul_(scale), for_key, for_value, for_bias
