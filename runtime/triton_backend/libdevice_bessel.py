"""Bessel functions of the device library: `@triton.jit` functions of fp64 values.

Below 8 they are series in x, above in Hankel's form with amplitudes P and Q. Errors are about 1e-15 of the function's
size around x, not of a value near a zero.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl
from mtia.runtime.triton_backend import libdevice_c as c

__all__ = ["i0", "i1", "j0", "j1", "jn", "y0", "y1", "yn"]

# Chebyshev coefficients: `python -m mtia.tools.bessel_tables` prints them
_J0 = tl.constexpr((
    0.15772797147489012, -0.008723442352852221, 0.2651786132033368, -0.37009499387264977,
    0.15806710233209725, -0.034893769411408884, 0.004819180069467605, -0.00046062616620627504,
    3.246032882100508e-05, -1.7619469077621507e-06, 7.608163592418782e-08, -2.679253530557673e-09,
    7.848696314479465e-11, -1.9438346867370164e-12, 4.125320595634374e-14, -7.588508125447546e-16,
    1.2218515873961411e-17,
))  # fmt: skip
_J1_BY_X = tl.constexpr((
    0.08104484632565812, -0.1489751450676521, 0.1609992623572097, -0.08268049176681791,
    0.022213639654966037, -0.003646940600769276, 0.0004050337728354822, -3.255554866857259e-05,
    1.9858774049915165e-06, -9.521984756750436e-08, 3.687133759097148e-09, -1.178026622695885e-10,
    3.160154580348003e-12, -7.221755239651773e-14, 1.4232144003513942e-15, -2.4441972916190464e-17,
))  # fmt: skip
_Y0_REST = tl.constexpr((
    0.03645469809116044, -0.2783237094075825, 0.2960499990207148, 0.09825508408187864,
    -0.10755155280627783, 0.031799074084414514, -0.005161397105810715, 0.0005498525320039012,
    -4.1996983149420134e-05, 2.4290361107923793e-06, -1.1049969793472957e-07, 4.06651736597911e-09,
    -1.2374148898289854e-10, 3.1685725528945945e-12, -6.926956032431002e-14, 1.3086308625876684e-15,
    -2.1586201986914482e-17,
))  # fmt: skip
_Y1_REST_BY_X = tl.constexpr((
    0.038300769852423776, -0.08182561412732826, -0.0248677076121964, 0.047967452752746984,
    -0.01852588451089802, 0.003680607687823511, -0.0004627254060293369, 4.06940026958087e-05,
    -2.6617695125295625e-06, 1.350602691325434e-07, -5.483524110336276e-09, 1.8245086841229007e-10,
    -5.070666636591129e-12, 1.1956162517587948e-13, -2.423162442712473e-15, 4.268126513072962e-17,
))  # fmt: skip
_P0 = tl.constexpr((
    0.9994603493475187, -0.0005365220468132117, 3.0751847875194745e-06, -5.1705945376060975e-08,
    1.6306464635151382e-09, -7.86409137723707e-11, 5.168262387349193e-12, -4.3045788699253914e-13,
    4.3265957431549404e-14, -5.069034095935236e-15, 6.748072215733873e-16, -1.0011513723467786e-16,
    1.6305919233744186e-17,
))  # fmt: skip
_XQ0 = tl.constexpr((
    -0.12444683684269607, 0.0005470815954089319, -5.9315987288485175e-06, 1.4377965798375193e-07,
    -5.817532749493056e-09, 3.376097523734991e-10, -2.565397936797308e-11, 2.404916100281365e-12,
    -2.6690625482579414e-13, 3.4041800321963686e-14, -4.87994410531204e-15, 7.729703176242605e-16,
    -1.3348852171502517e-16, 2.4865952389390515e-17, -4.952892629886516e-18,
))  # fmt: skip
_P1 = tl.constexpr((
    1.0009030408600137, 0.0008989898330859408, -3.987284300488908e-06, 6.177633960644299e-08,
    -1.8718907491063067e-09, 8.816898659582339e-11, -5.704863640395645e-12, 4.699195515230542e-13,
    -4.6842237839904895e-14, 5.452674896044717e-15, -7.221180842274018e-16, 1.0667689114335412e-16,
    -1.7312313216116335e-17,
))  # fmt: skip
_XQ1 = tl.constexpr((
    0.3742222965562826, -0.0007702178839325664, 7.3108922063643636e-06, -1.676782510726674e-07,
    6.583354662120443e-09, -3.749090950541556e-10, 2.8121750359748866e-11, -2.61145253946232e-12,
    2.8774212663332235e-13, -3.649001916061838e-14, 5.206626366226707e-15, -8.215318025458595e-16,
    1.4141084390211833e-16, -2.626761589838529e-17, 5.2192649196714085e-18,
))  # fmt: skip
_I0_LOW = tl.constexpr((
    0.33839763720473803, -0.3046826723431984, 0.17162090152220877, -0.09490109704804764,
    0.04930528423967071, -0.02373741480589947, 0.010546460394594998, -0.004324309995050576,
    0.0016394756169413357, -0.0005763755745385824, 0.00018850288509584165, -5.754195010082104e-05,
    1.6448448070728896e-05, -4.4167383584587505e-06, 1.1173875391201037e-06, -2.670793853940612e-07,
    6.046995022541919e-08, -1.300025009986248e-08, 2.6598237246823866e-09, -5.189795601635263e-10,
    9.675809035373237e-11, -1.726826291441556e-11, 2.95505266312964e-12, -4.856446783111929e-13,
    7.676185498604936e-14, -1.1685332877993451e-14, 1.715391285555133e-15, -2.431279846547955e-16,
    3.3307945188222384e-17, -4.4153416464793395e-18,
))  # fmt: skip
_I1_LOW_BY_X = tl.constexpr((
    0.12629359322181682, -0.17641651835783406, 0.1026436586898471, -0.05294598120809499,
    0.024726449030626516, -0.010564084894626197, 0.004156422944312888, -0.0015135724506312532,
    0.0005122859561685758, -0.00016176081582589674, 4.781565107550054e-05, -1.3273163656039436e-05,
    3.4702513081376785e-06, -8.568720264695455e-07, 2.0032947535521353e-07, -4.445059128796328e-08,
    9.381537386495773e-09, -1.8872497517228294e-09, 3.625590281552117e-10, -6.663489723502027e-11,
    1.1736186298890901e-11, -1.9839743977649436e-12, 3.223793365945575e-13, -5.042185504727912e-14,
    7.600684294735408e-15, -1.1055969477353862e-15, 1.5536319577362005e-16, -2.111421214358166e-17,
    2.7779141127610464e-18,
))  # fmt: skip
_I0_HIGH = tl.constexpr((
    0.4022452055070544, 0.0033691164782556943, 6.889758346916825e-05, 2.8913705208347567e-06,
    2.0489185894690638e-07, 2.266668990498178e-08, 3.3962320257083865e-09, 4.94060238822497e-10,
    1.1889147107846439e-11, -3.1499165279632416e-11, -1.3215811840447713e-11, -1.7941785315068062e-12,
    7.180124451383666e-13, 3.8527783827421426e-13, 1.54008621752141e-14, -4.150569347287222e-14,
    -9.554846698828307e-15, 3.8116806693526224e-15, 1.7725601330565263e-15, -3.425485619677219e-16,
    -2.8276239805165836e-16, 3.461222867697461e-17, 4.46562142029676e-17, -4.830504485944182e-18,
    -7.233180487874754e-18,
))  # fmt: skip
_I1_HIGH = tl.constexpr((
    0.38928811750914005, -0.009761097491361469, -0.00011058893876262371, -3.882564808877691e-06,
    -2.512236237870209e-07, -2.6314688468895196e-08, -3.835380385964237e-09, -5.589743462196584e-10,
    -1.8974958123505413e-11, 3.2526035830154884e-11, 1.4125807436613782e-11, 2.0356285441470896e-12,
    -7.198551776245908e-13, -4.0835511110921974e-13, -2.1015418427726643e-14, 4.272440016711951e-14,
    1.0420276984128802e-14, -3.8144030724370075e-15, -1.8803547755107825e-15, 3.3082023109209285e-16,
    2.96262899764595e-16, -3.209525921993424e-17, -4.6503053684893586e-17, 4.414348323071708e-18,
    7.517296310842105e-18,
))  # fmt: skip
_TWO_BY_PI = tl.constexpr(2 / math.pi)
_INF = tl.constexpr(float("inf"))


@triton.jit
def _chebyshev(t, table: tl.constexpr):
    """The sum of a Chebyshev series at t (Clenshaw's rule)."""
    last, before = t * 0.0, t * 0.0
    count: tl.constexpr = len(table)
    for back in tl.static_range(count - 1):
        last, before = 2.0 * t * last - before + table[count - 1 - back], last
    return t * last - before + table[0]


@triton.jit
def _waves(x, p, xq):
    """P, Q and the factor of Hankel's form for x ≥ 8, with sine and cosine of x."""
    t = 8.0 / x
    t = 2.0 * t * t - 1.0
    return _chebyshev(t, p), _chebyshev(t, xq) / x, c.sqrt(1.0 / (3.141592653589793 * x)), tl.sin(x), tl.cos(x)


@triton.jit
def _split(x):
    """x below 8 as the series' variable, and x not below 8, each harmless where the other is meant."""
    low = tl.minimum(x, 8.0)
    return low * low * 0.03125 - 1.0, tl.minimum(tl.maximum(x, 8.0), 1e300)


@triton.jit
def j0(x):
    """J0(x)."""
    x = tl.abs(x)
    low, high = _split(x)
    p, q, size, sine, cosine = _waves(high, _P0, _XQ0)
    far = size * (p * (cosine + sine) - q * (sine - cosine))
    made = tl.where(x < 8, _chebyshev(low, _J0), far)
    return tl.where(x != x, x, tl.where(x == _INF, 0.0, made))


@triton.jit
def j1(x):
    """J1(x)."""
    size_x = tl.abs(x)
    low, high = _split(size_x)
    p, q, size, sine, cosine = _waves(high, _P1, _XQ1)
    far = size * (p * (sine - cosine) + q * (sine + cosine))
    made = tl.where(size_x < 8, _chebyshev(low, _J1_BY_X) * size_x, far)
    made = tl.where(x < 0, -made, made)
    return tl.where(x != x, x, tl.where(size_x == _INF, 0.0, made))


@triton.jit
def _second_kind(x, made):
    """The values at zero, below it, and at infinity."""
    return tl.where(x == 0, -_INF, tl.where((x < 0) | (x != x), float("nan"), tl.where(x == _INF, 0.0, made)))


@triton.jit
def y0(x):
    """Y0(x)."""
    low, high = _split(x)
    p, q, size, sine, cosine = _waves(high, _P0, _XQ0)
    far = size * (p * (sine - cosine) + q * (sine + cosine))
    near = _TWO_BY_PI * tl.log(0.5 * tl.where(x > 0, x, 1.0)) * _chebyshev(low, _J0) + _chebyshev(low, _Y0_REST)
    return _second_kind(x, tl.where(x < 8, near, far))


@triton.jit
def y1(x):
    """Y1(x)."""
    low, high = _split(x)
    p, q, size, sine, cosine = _waves(high, _P1, _XQ1)
    far = size * (q * (sine - cosine) - p * (sine + cosine))
    inside = tl.where(x > 0, x, 1.0)
    near = _TWO_BY_PI * (tl.log(0.5 * inside) * _chebyshev(low, _J1_BY_X) * inside - 1.0 / inside)
    return _second_kind(x, tl.where(x < 8, near + _chebyshev(low, _Y1_REST_BY_X) * inside, far))


@triton.jit
def i0(x):
    """I0(x)."""
    x = tl.abs(x)
    low, high = tl.minimum(x, 8.0), tl.minimum(tl.maximum(x, 8.0), 1e300)
    near = _chebyshev(low * 0.25 - 1.0, _I0_LOW)
    far = _chebyshev(16.0 / high - 1.0, _I0_HIGH) / c.sqrt(high)
    half = tl.exp(0.5 * tl.minimum(x, 1000.0))  # twice: the whole may overflow
    return tl.where(x != x, x, tl.where(x < 8, near, far) * half * half)


@triton.jit
def i1(x):
    """I1(x)."""
    size = tl.abs(x)
    low, high = tl.minimum(size, 8.0), tl.minimum(tl.maximum(size, 8.0), 1e300)
    near = _chebyshev(low * 0.25 - 1.0, _I1_LOW_BY_X) * low
    far = _chebyshev(16.0 / high - 1.0, _I1_HIGH) / c.sqrt(high)
    half = tl.exp(0.5 * tl.minimum(size, 1000.0))
    made = tl.where(size < 8, near, far) * half * half
    return tl.where(x != x, x, tl.where(x < 0, -made, made))


@triton.jit
def _largest(n):
    """The largest of all elements."""
    if n.type.is_block():
        return tl.max(n)
    else:
        return n


@triton.jit
def jn(n, x):
    """Jn(x) for n ≥ 0, else NaN."""
    size = tl.abs(x)
    most = _largest(n)
    # upward from J0 and J1 as long as n < x, and from far above downward otherwise (Miller's rule)
    before, up = j0(size), j1(size)
    inside = tl.where(size > 0, size, 1.0)
    for k in range(1, most):
        before, up = tl.where(k < n, up, before), tl.where(k < n, (2.0 * k) / inside * up - before, up)
    start = (most + 20 + c.sqrt(160.0 * most).to(tl.int32)) // 2 * 2
    above, here, total, wanted = size * 0.0, size * 0.0 + 1e-30, size * 0.0, size * 0.0
    for back in range(0, start):
        k = start - back
        below = (2.0 * k) / inside * here - above
        above, here = here, below
        shrink = tl.where(tl.abs(here) > 1e100, 1e-100, 1.0)
        above, here, total, wanted = above * shrink, here * shrink, total * shrink, wanted * shrink
        total += tl.where((k & 1) == 1, here + here, 0.0)
        wanted = tl.where(k - 1 == n, here, wanted)
    made = tl.where(n == 0, before, tl.where(n.to(tl.float64) < size, up, wanted / (total - here)))
    made = tl.where((n > 0) & (size == 0), 0.0, tl.where(size == _INF, 0.0, made))
    made = tl.where((x < 0) & ((n & 1) == 1), -made, made)
    return tl.where((n < 0) | (x != x), float("nan"), made)


@triton.jit
def yn(n, x):
    """Yn(x) for n ≥ 0, else NaN."""
    inside = tl.where((x > 0) & (x < _INF), x, 1.0)
    before, up = y0(inside), y1(inside)
    for k in range(1, _largest(n)):
        before, up = tl.where(k < n, up, before), tl.where(k < n, (2.0 * k) / inside * up - before, up)
    return tl.where(n < 0, float("nan"), _second_kind(x, tl.where(n == 0, before, up)))
