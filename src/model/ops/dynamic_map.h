// The maps of bitsandbytes' 8-bit quantisation (create_dynamic_map; Dettmers 2015): a float format whose exponent is
// the number of leading zeros, so that the rest of the 8 bits is fraction.
#pragma once
#include <ATen/core/Tensor.h>

namespace allreco::model::ops {

/// float32 [256] on the CPU, ascending, to the bit what bitsandbytes makes on an x86 CPU. Signed: from -0.993 to 1, for
/// absmax and for the first moment. Unsigned: from 0 to 1, twice as fine, for the second moment.
at::Tensor dynamic_map(bool is_signed);

}  // namespace allreco::model::ops
