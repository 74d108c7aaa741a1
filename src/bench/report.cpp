#include "bench/report.h"

#include <algorithm>

#include "bench/units.h"
#include "core/text.h"

namespace allreco::bench {
namespace {

/// The mean over the ranks.
StepParts mean_parts(const std::vector<RankResult>& ranks) {
  StepParts mean;
  for (double StepParts::*part : {&StepParts::data, &StepParts::forward, &StepParts::loss_head, &StepParts::backward,
                                  &StepParts::communication, &StepParts::optimizer, &StepParts::idle}) {
    for (const RankResult& rank : ranks) mean.*part += rank.parts.*part;
    mean.*part /= static_cast<double>(ranks.size());
  }
  return mean;
}

double mean_step_ms(const std::vector<RankResult>& ranks) {
  double sum = 0;
  for (const RankResult& rank : ranks) sum += rank.step_ms;
  return sum / static_cast<double>(ranks.size());
}

std::string parts_text(const TrainingResult& result) {
  const double step = mean_step_ms(result.ranks);
  std::string text = core::message("\n  a step takes {:.1f} ms, of it\n", step);
  const core::Json parts = core::json_of(mean_parts(result.ranks));
  for (const auto& [name, value] : parts.items()) {
    const double ms = value.get<double>();
    text += core::message("    {:<14} {:>10.2f} ms {:>6.1f} %\n", name, ms, 100 * ms / step);
  }
  return text;
}

/// Of the rank that takes most.
std::string memory_text(const TrainingResult& result) {
  const auto most = std::max_element(result.ranks.begin(), result.ranks.end(),
                                     [](const auto& a, const auto& b) { return a.memory.peak < b.memory.peak; });
  std::string text = core::message("\n  memory of rank {}, GiB\n", most - result.ranks.begin());
  const core::Json kinds = core::json_of(most->memory);
  for (const auto& [name, value] : kinds.items())
    text += core::message("    {:<14} {:>10}\n", name, gib(value.get<std::int64_t>()));
  return text;
}

std::string products_text(const RankResult& rank) {
  std::string text = "\n  libtorch's products at the model's shapes, GFLOP/s of rank 0\n";
  for (const ProductSpeed& product : rank.products)
    text += core::message("    [{}, {}] x [{}, {}] {:>10.1f}\n", product.rows, product.in, product.in, product.out,
                          product.flop_per_second / 1e9);
  return text;
}

}  // namespace

core::Json to_json(const TrainingResult& result) {
  core::Json flop{{"formula", kFlopFormula},
                  {"projections", result.flop.projections},
                  {"lora", result.flop.lora},
                  {"attention", result.flop.attention},
                  {"loss_head", result.flop.loss_head},
                  {"total", result.flop.total()},
                  {"per_second", result.flop_per_second()},
                  {"peak_per_second", result.peak_flop_per_second()},
                  {"share_of_peak", result.flop_per_second() / result.peak_flop_per_second()}};
  core::Json per_rank = core::Json::array();
  for (const RankResult& rank : result.ranks) {
    core::Json json = core::json_of(rank);
    json["tokens_per_second"] = static_cast<double>(rank.tokens) / rank.seconds;
    per_rank.push_back(std::move(json));
  }
  return {{"kind", "training_step"},
          {"version", 1},
          {"world_size", result.ranks.size()},
          {"num_steps", result.num_steps},
          {"examples_per_step", result.examples_per_step},
          {"tokens", result.tokens},
          {"seconds", result.seconds()},
          {"tokens_per_second", result.tokens_per_second()},
          {"step_ms", mean_step_ms(result.ranks)},
          {"parts_ms", core::json_of(mean_parts(result.ranks))},
          {"flop", std::move(flop)},
          {"losses", result.losses},
          {"model", result.model},
          {"gradients", result.gradients},
          {"machine", result.machine},
          {"ranks", std::move(per_rank)}};
}

core::Json to_json(const CollectivesResult& result) {
  return {{"kind", "collectives"},
          {"version", 1},
          {"plane", result.plane},
          {"world_size", result.world_size},
          {"times", core::json_of(result.times)}};
}

std::string text_of(const TrainingResult& result) {
  std::string text = core::message("{}: {} rank(s), {} examples a step, {} measured steps\n\n  {:.0f} tokens/s in all",
                                   result.model.at("name").get<std::string>(), result.ranks.size(),
                                   result.examples_per_step, result.num_steps, result.tokens_per_second());
  if (result.ranks.size() > 1) {
    text += "; by rank";
    for (const RankResult& rank : result.ranks)
      text += core::message(" {:.0f}", static_cast<double>(rank.tokens) / rank.seconds);
  }
  text += core::message(
      "\n  {:.1f} GFLOP/s of the model's arithmetic, {:.1f} % of the {:.1f} GFLOP/s that all ranks reach in "
      "libtorch's fastest product\n",
      result.flop_per_second() / 1e9, 100 * result.flop_per_second() / result.peak_flop_per_second(),
      result.peak_flop_per_second() / 1e9);
  return text + parts_text(result) + memory_text(result) + products_text(result.ranks[0]);
}

std::string text_of(const CollectivesResult& result) {
  std::string text =
      core::message("{} rank(s) on the {} plane\n\n  {:<15} {:>10} {:>12} {:>12} {:>12}\n", result.world_size,
                    result.plane, "operation", "bytes", "us", "algbw GB/s", "busbw GB/s");
  for (const CollectiveTime& time : result.times)
    text += core::message("  {:<15} {:>10} {:>12.1f} {:>12.3f} {:>12.3f}\n", time.operation, time.bytes, time.us,
                          time.algorithm_gb_per_second, time.bus_gb_per_second);
  return text;
}

}  // namespace allreco::bench
