#include "model/ops/blockwise_checks.h"

#include <bit>
#include <cmath>

#include "core/check.h"

namespace allreco::model::ops {

void check_blocksize(const char* op, const at::Tensor& tensor, std::int64_t blocksize) {
  if (tensor.numel() == 0) {
    core::fault("{}: expected at least one element, found none", op);
  }
  if (blocksize <= 0 || !std::has_single_bit(static_cast<std::uint64_t>(blocksize))) {
    core::fault("{}: expected blocksize to be a power of two, found {}", op, blocksize);
  }
}

void check_contiguous(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                      std::int64_t num_elements, c10::DeviceType device) {
  if (!tensor.defined()) {
    core::fault("{}: {} is not there", op, name);
  }
  if (tensor.scalar_type() != dtype || tensor.numel() != num_elements || !tensor.is_contiguous() ||
      tensor.device().type() != device) {
    core::fault("{}: expected {} to be {}, {} elements, contiguous, on {}, found {}, {} elements{}, on {}", op, name,
                c10::toString(dtype), num_elements, c10::DeviceTypeName(device, true),
                c10::toString(tensor.scalar_type()), tensor.numel(),
                tensor.is_contiguous() ? ", contiguous" : ", not contiguous", tensor.device().str());
  }
}

void check_absmax(const char* op, const at::Tensor& absmax, std::int64_t blocksize) {
  const at::Tensor on_cpu = absmax.cpu();
  const float* const values = on_cpu.const_data_ptr<float>();
  for (std::int64_t block = 0; block < on_cpu.numel(); ++block) {
    if (!std::isfinite(values[block])) {
      core::user_error(
          "{}: expected finite values, found an infinity or a NaN among elements {} to {} of the flattened tensor; "
          "repair or replace the file that it comes from",
          op, block * blocksize, (block + 1) * blocksize - 1);
    }
  }
}

}  // namespace allreco::model::ops
