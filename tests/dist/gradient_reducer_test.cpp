#include "dist/gradient_reducer.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "core/check.h"
#include "core/random.h"
#include "dist/on_planes.h"
#include "dist/test_session.h"

namespace allreco::dist {
namespace {

/// Adjacent slices, some empty, over a buffer of their total size.
std::vector<GradientSlice> random_slices(core::RandomStream& random) {
  std::vector<GradientSlice> slices;
  std::int64_t end = 0;
  const auto num_slices = 1 + random.next_below(40);
  for (std::uint64_t i = 0; i < num_slices; ++i) {
    const auto size = random.next_below(4) == 0 ? 0 : static_cast<std::int64_t>(random.next_below(5000));
    slices.push_back({end, end + size});
    end += size;
  }
  return slices;
}

/// What backward on this rank leaves in [begin, end): integers in float32 (exact sums) or numbers whose sum depends on
/// the order.
void fill(at::Tensor gradients, GradientSlice slice, int rank, std::uint64_t key, bool integers) {
  core::RandomStream random(
      core::mix_key(key, {static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(slice.begin)}));
  const at::Tensor values = at::empty({slice.end - slice.begin}, at::kFloat);
  float* data = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i)
    data[i] =
        integers ? static_cast<float>(random.next_below(2001)) - 1000.0f : static_cast<float>(random.next_normal());
  gradients.slice(0, slice.begin, slice.end).copy_(values);
}

struct Run {
  bool overlap = true;
  bool integers = true;
  bool fills_late = false;  // this rank skips backward and only calls finish()
};

at::Tensor reduce(Communicator& plane, at::Device device, const std::vector<GradientSlice>& slices,
                  std::int64_t min_bytes, std::uint64_t key, Run run) {
  at::Tensor gradients = at::zeros({slices.back().end}, at::TensorOptions(device).dtype(at::kFloat));
  GradientReducer reducer(plane, gradients, slices, SumOrder::fastest, min_bytes);
  reducer.set_overlap(run.overlap);
  for (int step = 0; step < 2; ++step) {  // the second proves that finish() leaves it ready
    if (run.fills_late) gradients.zero_();
    for (size_t i = 0; i < slices.size() && !run.fills_late; ++i) {
      fill(gradients, slices[i], plane.rank(), key + static_cast<std::uint64_t>(step), run.integers);
      reducer.layer_done(static_cast<std::int64_t>(i));
    }
    reducer.finish();
    EXPECT_GE(reducer.exposed_ms(), 0);
  }
  return gradients.cpu();
}

class GradientReducerOnPlane : public OnPlane {};

INSTANTIATE_TEST_SUITE_P(Mpi, GradientReducerOnPlane, every_plane(), name_of_plane);

}  // namespace

// Integers in [-1000, 1000] of at most 4 ranks: every partial sum is exact in float32, so the tolerance is zero.
TEST_P(GradientReducerOnPlane, SumsAreExactForRandomLayouts) {
  core::RandomStream random(11);
  for (std::uint64_t layout = 0; layout < 30; ++layout) {
    const std::vector<GradientSlice> slices = random_slices(random);
    const auto min_bytes = static_cast<std::int64_t>(random.next_below(40'000));
    at::Tensor expected = at::zeros({slices.back().end}, at::kFloat);
    for (int rank = 0; rank < plane().world_size(); ++rank) {
      at::Tensor one = at::zeros_like(expected);
      for (const GradientSlice& slice : slices) fill(one, slice, rank, layout + 1, true);
      expected += one;
    }
    EXPECT_TRUE(at::equal(reduce(plane(), device(), slices, min_bytes, layout, {}), expected)) << "layout " << layout;
  }
}

TEST_P(GradientReducerOnPlane, OverlapAndRepetitionDoNotChangeABit) {
  core::RandomStream random(12);
  for (std::uint64_t layout = 0; layout < 10; ++layout) {
    const std::vector<GradientSlice> slices = random_slices(random);
    const at::Tensor overlapped = reduce(plane(), device(), slices, 8192, layout, {.overlap = true, .integers = false});
    const at::Tensor again = reduce(plane(), device(), slices, 8192, layout, {.overlap = true, .integers = false});
    const at::Tensor at_the_end =
        reduce(plane(), device(), slices, 8192, layout, {.overlap = false, .integers = false});
    EXPECT_TRUE(at::equal(overlapped, again));
    EXPECT_TRUE(at::equal(overlapped, at_the_end));
    const std::string bits(static_cast<const char*>(overlapped.data_ptr()), overlapped.nbytes());
    for (const std::string& other : test_session().all_gather(bits)) EXPECT_TRUE(other == bits);
  }
}

// The last rank has no samples; the sum is that of the others.
TEST_P(GradientReducerOnPlane, ARankWithoutSamplesMayOnlyFinish) {
  core::RandomStream random(13);
  const std::vector<GradientSlice> slices = random_slices(random);
  const int idle = plane().world_size() - 1;
  at::Tensor expected = at::zeros({slices.back().end}, at::kFloat);
  for (int rank = 0; rank < idle; ++rank) {
    at::Tensor one = at::zeros_like(expected);
    for (const GradientSlice& slice : slices) fill(one, slice, rank, 1, true);
    expected += one;
  }
  EXPECT_TRUE(at::equal(reduce(plane(), device(), slices, 8192, 0, {.fills_late = plane().rank() == idle}), expected));
}

TEST(GradientReducer, JoinsNeighboursUntilTheBucketIsLargeEnough) {
  const auto plane = make_self_communicator();
  const at::Tensor gradients = at::zeros({1000}, at::kFloat);
  const std::vector<GradientSlice> slices{{0, 100}, {100, 200}, {200, 200}, {200, 700}, {700, 900}, {900, 1000}};
  const auto num_buckets = [&](std::int64_t bytes) {
    return GradientReducer(*plane, gradients, slices, SumOrder::fastest, bytes).num_buckets();
  };
  EXPECT_EQ(num_buckets(0), 5);     // the empty slice makes none
  EXPECT_EQ(num_buckets(800), 4);   // 0-200, 200-700, 700-900, 900-1000
  EXPECT_EQ(num_buckets(1200), 2);  // 0-700, 700-1000
  EXPECT_EQ(num_buckets(1 << 20), 1);
  GradientReducer empty(*plane, at::zeros({0}, at::kFloat), {{0, 0}});
  empty.layer_done(0);
  empty.finish();
  EXPECT_EQ(empty.num_buckets(), 0);
}

TEST(GradientReducer, RefusesGapsAndWrongOrder) {
  const auto plane = make_self_communicator();
  const at::Tensor gradients = at::zeros({10}, at::kFloat);
  using Slices = std::vector<GradientSlice>;
  EXPECT_THROW(GradientReducer(*plane, gradients, Slices{{0, 4}, {5, 10}}), core::Fault);
  EXPECT_THROW(GradientReducer(*plane, gradients, Slices{{0, 4}, {4, 9}}), core::Fault);
  EXPECT_THROW(GradientReducer(*plane, gradients.view({2, 5}), Slices{{0, 10}}), core::Fault);
  GradientReducer reducer(*plane, gradients, Slices{{0, 4}, {4, 10}});
  EXPECT_THROW(reducer.layer_done(1), core::Fault);
  reducer.layer_done(0);
  EXPECT_THROW(reducer.layer_done(0), core::Fault);
  reducer.finish();
  reducer.layer_done(0);  // a new step
}

}  // namespace allreco::dist
