#include "train/adamw.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/random.h"
#include "train/clip.h"

namespace allreco::train {
namespace {

constexpr std::int64_t kCount = 1037;  // no multiple of any vector width

/// The formula of torch.optim.AdamW's documentation, one element at a time in double.
struct NaiveAdamW {
  AdamWConfig config;
  std::vector<double> p, m, v;
  void step(const std::vector<double>& g, double lr, int t) {
    for (size_t i = 0; i < p.size(); ++i) {
      p[i] *= 1 - lr * config.weight_decay;
      m[i] = config.beta1 * m[i] + (1 - config.beta1) * g[i];
      v[i] = config.beta2 * v[i] + (1 - config.beta2) * g[i] * g[i];
      const double m_hat = m[i] / (1 - std::pow(config.beta1, t));
      const double v_hat = v[i] / (1 - std::pow(config.beta2, t));
      p[i] -= lr * m_hat / (std::sqrt(v_hat) + config.epsilon);
    }
  }
};

TEST(AdamW, FollowsADoubleLoopWithClippingAndDecay) {
  const AdamWConfig config{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6, .weight_decay = 0.1};
  core::RandomStream random(7);
  at::Tensor parameters = at::empty({kCount}, at::kFloat);
  NaiveAdamW naive{config, {}, std::vector<double>(kCount), std::vector<double>(kCount)};
  for (std::int64_t i = 0; i < kCount; ++i) {
    parameters.mutable_data_ptr<float>()[i] = static_cast<float>(random.next_normal());
    naive.p.push_back(static_cast<double>(parameters.const_data_ptr<float>()[i]));
  }
  AdamW optimizer(parameters, {{"all", 0, {kCount}}}, config);
  for (int t = 1; t <= 20; ++t) {
    const double lr = t == 1 ? 0 : 0.01 / t;  // a first rate of 0, as after a warm-up's start
    at::Tensor gradients = at::empty({kCount}, at::kFloat);
    std::vector<double> g;
    for (std::int64_t i = 0; i < kCount; ++i) {
      const auto x = i % 16 == 3 ? 0.0f : static_cast<float>(random.next_normal());
      gradients.mutable_data_ptr<float>()[i] = x;
      g.push_back(static_cast<double>(x));
    }
    const double factor = clip_factor(global_norm(gradients), 5.0);
    ASSERT_LT(factor, 1);
    for (double& x : g) x *= factor;
    optimizer.step(gradients, lr, factor);
    naive.step(g, lr, t);
  }
  EXPECT_EQ(optimizer.num_updates(), 20);
  // Steps move by at most sum(lr) = 0.026. Each rounds p (|p| < 4) a few times and the update to float32:
  // 20 * (3 * 4 * 2^-24 + 1e-2 * 10 * 2^-24) < 2e-5; rounding is random, so the measured error is 30 times smaller.
  double worst = 0;
  for (std::int64_t i = 0; i < kCount; ++i) {
    const auto n = static_cast<size_t>(i);
    worst = std::max(worst, std::abs(static_cast<double>(parameters.const_data_ptr<float>()[i]) - naive.p[n]));
    ASSERT_NEAR(optimizer.exp_avg().const_data_ptr<float>()[i], naive.m[n], 1e-6) << i;
    ASSERT_NEAR(optimizer.exp_avg_sq().const_data_ptr<float>()[i], naive.v[n], 1e-6) << i;
  }
  EXPECT_LT(worst, 2e-6);
}

TEST(Clip, NormIsTheDoubleSumAndTheFactorIsTorchs) {
  core::RandomStream random(11);
  for (std::int64_t count : {0, 1, 15, 16, 33, 100'003}) {
    at::Tensor flat = at::empty({count}, at::kFloat);
    long double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto x = static_cast<float>(random.next_normal());
      flat.mutable_data_ptr<float>()[i] = x;
      sum += static_cast<long double>(x) * static_cast<long double>(x);
    }
    // Each of up to 6251 additions to a lane rounds by 2^-53 relative.
    EXPECT_NEAR(global_norm(flat), static_cast<double>(std::sqrt(sum)), 1e-12 * static_cast<double>(std::sqrt(sum)))
        << count;
  }
  EXPECT_EQ(clip_factor(3.0, 0.0), 1.0);  // 0: no clipping
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_factor(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  at::Tensor bad = at::zeros({40}, at::kFloat);
  bad.mutable_data_ptr<float>()[17] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(global_norm(bad)));
  bad.mutable_data_ptr<float>()[17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(global_norm(bad)));
}

}  // namespace
}  // namespace allreco::train
