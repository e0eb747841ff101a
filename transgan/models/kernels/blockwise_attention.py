"""Attention with a learnt bias on a CPU, where no fused kernel gives the bias a gradient: a head of a few images at a time."""

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from transgan.models.kernels.eligibility import in_eager_float32_on_cpu
from transgan.models.kernels.onednn import products_in_onednn

PARTS_FROM = (
    2**20
)  # attention weights of an image's head, 1,024 tokens; below, one product for all images and heads is the faster


def suits_parts(query: Tensor, bias: Tensor) -> bool:
    """Whether each image's attention weights are so many that `attention_in_parts` is no slower than having all in memory at once."""
    return in_eager_float32_on_cpu(query, bias) and bias[0].numel() >= PARTS_FROM


def attention_in_parts(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for (B, heads, N, d) and a (heads, N, N) bias, which gets a gradient; differentiable once.

    Its memory beyond inputs and outputs is two N x N matrices per thread, where the usual way keeps one for every image and head: half a
    gigabyte for the 1,024 tokens of CIFAR-10's last stage at batch 32, and as much again for each step of its derivative.
    """
    mixed: Tensor = _InParts.apply(query, key, value, bias)
    return mixed


class _InParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.detach()[None])
        ctx.save_for_backward(query, key, value, bias, mixed)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        query, key, value, bias, mixed = ctx.saved_tensors
        images, heads, tokens, width = query.shape
        scale = width**-0.5
        for_query, for_key, for_value = (torch.empty_like(x) for x in (query, key, value))
        # One after the other in memory, tokens of a head are read by products in less time.
        gradient, key, value, scaled = (x.contiguous() for x in (gradient, key, value, query * scale))
        for_bias = torch.zeros_like(bias)
        few = min(
            images, torch.get_num_threads()
        )  # a product for each: with two threads, a quarter less time than one after the other
        room = query.new_empty(2, few, tokens, tokens)
        # What softmax subtracts from each row's gradient: the sum over keys of weight times gradient, known from the output.
        shared = (gradient * mixed).sum(-1, keepdim=True)
        with products_in_onednn():
            for head, first in itertools.product(
                range(heads), range(0, images, few)
            ):  # a head's bias stays in the cache
                at = slice(first, first + few), head
                weights, for_logits = room[:, : images - first]
                torch.bmm(scaled[at], key[at].mT, out=weights)
                torch.softmax(weights.add_(bias[head]), -1, out=weights)
                for_value[at] = (gradient[at].mT @ weights).mT  # weights.mT @ gradient takes up to half as long again
                torch.bmm(gradient[at], value[at].mT, out=for_logits)
                for_logits.sub_(shared[at]).mul_(weights)
                for one in for_logits:
                    for_bias[head].add_(one)
                for_query[at] = for_logits @ key[at]
                for_key[at] = (scaled[at].mT @ for_logits).mT
        return for_query.mul_(scale), for_key, for_value, for_bias
