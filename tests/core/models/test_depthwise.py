"""The fast depthwise convolution is the library's, values and gradients."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.models.mhvae.depthwise import DepthwiseConv2d


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([3, 5]),
    st.integers(0, 99),
)
def test_it_is_a_grouped_convolution(
    batch: int, channels: int, height: int, width: int, kernel: int, seed: int
) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    fast = DepthwiseConv2d(channels, kernel)
    plain = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels).double()
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(batch, channels, height, width, requires_grad=True)
    y = x.detach().double().requires_grad_()
    weight = torch.randn(batch, channels, height, width)
    (fast(x) * weight).sum().backward()
    (plain(y) * weight).sum().backward()
    pairs = [(x.grad, y.grad), (fast.weight.grad, plain.weight.grad)]
    assert fast.bias is not None
    assert plain.bias is not None
    pairs.append((fast.bias.grad, plain.bias.grad))
    for a, b in pairs:
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(fast(x).double(), plain(y), rtol=1e-5, atol=1e-5)
