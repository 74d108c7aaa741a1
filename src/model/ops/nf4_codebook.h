// The codebook of NF4 (bitsandbytes' constants; QLoRA, appendix E), for host and device code. Plain C++, no torch.
#pragma once

namespace allreco::model::ops {

inline constexpr int kNumNf4Codes = 16;

/// What the codes mean.
inline constexpr float kNf4Map[kNumNf4Codes] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};
/// The code of zero.
inline constexpr int kNf4ZeroCode = 7;

/// A fraction of absmax above midpoint i has a code above i; one that equals it takes the lower code. These are the
/// float32 midpoints of bitsandbytes' CPU code; its CUDA code writes decimal constants, of which those for i = 0, 8, 12
/// and 14 are one unit in the last place away.
constexpr float nf4_midpoint(int i) { return (kNf4Map[i] + kNf4Map[i + 1]) / 2; }

/// What bitsandbytes takes for the absmax of zeros.
inline constexpr float kMinAbsmax = 1e-38f;

}  // namespace allreco::model::ops
