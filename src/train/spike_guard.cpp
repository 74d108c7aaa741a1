#include "train/spike_guard.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "core/check.h"

namespace allreco::train {
namespace {

double z_score_of_last(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double sum_of_squares = 0;
  for (const double value : values) sum_of_squares += (value - mean) * (value - mean);
  return sum_of_squares > 0 ? (values.back() - mean) / std::sqrt(sum_of_squares / count) : 0;
}

std::string judge(const char* name, double value, double z, double limit) {
  if (limit == 0 || z <= limit) return "";
  return fmt::format("its {} {:g} lies {:.2f} standard deviations above the mean of the last {} steps", name, value, z,
                     OutlierWindow::kSize);
}

}  // namespace

double OutlierWindow::add(double value, double limit) {
  if (values_.size() < kSize) {
    values_.push_back(value);
    return 0;
  }
  std::vector<double> next(values_.begin() + 1, values_.end());
  next.push_back(value);
  const double z = z_score_of_last(next);
  const bool is_outlier = limit > 0 && z > limit;
  outliers_in_a_row_ = is_outlier ? outliers_in_a_row_ + 1 : 0;
  if (outliers_in_a_row_ > kMostInARow) {
    values_ = {value};
    outliers_in_a_row_ = 0;
    return 0;
  }
  if (!is_outlier) values_ = std::move(next);
  return z;
}

core::Json OutlierWindow::to_json() const { return {{"values", values_}, {"outliers_in_a_row", outliers_in_a_row_}}; }

void OutlierWindow::restore(const core::Json& json) {
  values_ = json.at("values").get<std::vector<double>>();
  const core::Json& in_a_row = json.at("outliers_in_a_row");
  const auto whole = core::whole_number<std::int64_t>(in_a_row);
  if (!whole) core::user_error("outliers_in_a_row = {} is no whole number", in_a_row.dump());
  outliers_in_a_row_ = *whole;
}

std::string SpikeGuard::check(const SpikeLimits& limits, double loss, double grad_norm) {
  const double loss_z = loss_.add(loss, limits.loss_z);
  const double grad_norm_z = grad_norm_.add(grad_norm, limits.grad_norm_z);
  const std::string found = judge("loss", loss, loss_z, limits.loss_z);
  return found.empty() ? judge("gradient norm", grad_norm, grad_norm_z, limits.grad_norm_z) : found;
}

core::Json SpikeGuard::to_json() const { return {{"loss", loss_.to_json()}, {"grad_norm", grad_norm_.to_json()}}; }

void SpikeGuard::restore(const core::Json& json) {
  loss_.restore(json.at("loss"));
  grad_norm_.restore(json.at("grad_norm"));
}

}  // namespace allreco::train
