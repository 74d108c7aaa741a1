#include "dist/gradient_reducer.h"

#include <ATen/ops/zeros.h>

#include <chrono>

#include "core/check.h"

namespace allreco::dist {

void warm_up(Communicator& communicator, at::Device device, SumOrder order) {
  // By size NCCL goes from its tree with low latency to the ring; 16 MiB are far above where it changes.
  constexpr std::int64_t kFloats[] = {1, 1 << 14, 1 << 18, 1 << 22};
  const at::Tensor all = at::zeros({kFloats[3]}, at::TensorOptions(device).dtype(at::kFloat));
  communicator.broadcast(all.narrow(0, 0, 1), 0);
  for (const std::int64_t floats : kFloats) {
    const at::Tensor part = all.narrow(0, 0, floats);
    communicator.start_all_reduce_sum(part)->wait();
    if (order == SumOrder::tree) communicator.start_tree_sum(part)->wait();
  }
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): its elements are written
GradientReducer::GradientReducer(Communicator& communicator, at::Tensor gradients, std::vector<GradientSlice> slices,
                                 SumOrder order, std::int64_t min_bucket_bytes)
    : communicator_(communicator), order_(order), num_slices_(std::ssize(slices)) {
  core::require(gradients.dim() == 1 && gradients.is_contiguous(), "gradients must be one flat, contiguous buffer");
  std::int64_t begin = 0;
  std::int64_t end = 0;
  for (std::int64_t i = 0; i < num_slices_; ++i) {
    const GradientSlice& slice = slices[static_cast<size_t>(i)];
    if (slice.begin != end || slice.end < slice.begin)
      core::fault("gradient slice {} is [{}, {}) but must begin at {}, where the one before it ends", i, slice.begin,
                  slice.end, end);
    end = slice.end;
    const std::int64_t bytes = (end - begin) * gradients.element_size();
    const bool is_last = i + 1 == num_slices_;
    if (end > begin && (is_last || bytes >= min_bucket_bytes)) {
      buckets_.push_back({gradients.narrow(0, begin, end - begin), i});
      begin = end;
    }
  }
  if (end != gradients.numel())
    core::fault("gradient slices end at {} but the buffer has {} elements", end, gradients.numel());
  under_way_.reserve(buckets_.size());
}

std::vector<GradientBucket> GradientReducer::buckets() const {
  std::vector<GradientBucket> shapes;
  for (const Bucket& bucket : buckets_)
    shapes.push_back({static_cast<std::int64_t>(bucket.view.nbytes()), bucket.last_slice + 1});
  return shapes;
}

void GradientReducer::layer_done(std::int64_t index) {
  if (index != num_done_ || index >= num_slices_)
    core::fault("layer_done({}) where layer_done({}) of {} is due", index, num_done_, num_slices_);
  ++num_done_;
  if (!overlap_) return;
  start_completed(num_done_);
  for (const auto& work : under_way_) work->poll();
}

void GradientReducer::start_completed(std::int64_t num_slices_done) {
  while (under_way_.size() < buckets_.size()) {
    const Bucket& next = buckets_[under_way_.size()];
    if (next.last_slice >= num_slices_done) return;
    under_way_.push_back(order_ == SumOrder::tree ? communicator_.start_tree_sum(next.view)
                                                  : communicator_.start_all_reduce_sum(next.view));
  }
}

void GradientReducer::finish() {
  const auto begin = std::chrono::steady_clock::now();
  start_completed(num_slices_);
  for (const auto& work : under_way_) work->wait();
  under_way_.clear();
  num_done_ = 0;
  exposed_ms_ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace allreco::dist
