#include "report/data_groups.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/text.h"

namespace allreco::report {

namespace {

std::string key_of(const eval::DatasetDescription& dataset) {
  return fmt::format("{} {} {} {}", dataset.fingerprint, dataset.split, dataset.control,
                     dataset.num_examples_evaluated);
}

std::string title_of(const eval::DatasetDescription& dataset) {
  std::string title = fmt::format("{} split, {} examples", dataset.split, dataset.num_examples_evaluated);
  if (dataset.num_users > 0) title += fmt::format(" of {} users", dataset.num_users);
  if (dataset.control != "none") title += fmt::format(", control {}", dataset.control);
  return title;
}

/// Titles that several groups have say which data they are of.
void make_different(std::vector<DataGroup>& groups) {
  std::map<std::string, int> count;
  for (const DataGroup& group : groups) ++count[group.title];
  for (DataGroup& group : groups)
    if (count[group.title] > 1)
      group.title += fmt::format(", data {:.12} ({})", group.dataset().fingerprint, group.dataset().directory);
}

void name_evaluations(DataGroup& group) {
  std::map<const Run*, int> count;
  for (const EvaluatedRun& one : group.evaluations) ++count[one.run];
  for (EvaluatedRun& one : group.evaluations)
    if (count[one.run] > 1)
      one.name += fmt::format(" ({})", one.evaluated->directory.lexically_normal().filename().string());
}

/// Of baselines that apply and have the metric.
template <class Reports>
void add_best_baseline(Headline& headline, const Reports& baselines) {
  for (const auto& [name, baseline] : baselines) {
    if (baseline.not_applicable) continue;
    const eval::Estimate* found = core::find(baseline.estimates(), headline.metric);
    if (!found || (!headline.best_baseline.empty() && found->value <= headline.best_baseline_value)) continue;
    headline.best_baseline = name;
    headline.best_baseline_value = found->value;
  }
}

template <class Reports>
void add_headline(std::vector<Headline>& headlines, const std::string& metric, const std::string& what,
                  const eval::Estimates* estimates, const Reports& baselines) {
  const eval::Estimate* found = estimates ? core::find(*estimates, metric) : nullptr;
  if (!found) return;
  Headline headline{.metric = metric, .what = what, .estimate = *found};
  add_best_baseline(headline, baselines);
  headlines.push_back(std::move(headline));
}

std::string range_of(const eval::ListFacts::NumCandidates& count) {
  return count.fewest == count.most ? fmt::format("{}", count.most) : fmt::format("{} to {}", count.fewest, count.most);
}

}  // namespace

std::vector<DataGroup> data_groups(const Runs& runs) {
  std::vector<DataGroup> groups;
  std::map<std::string, std::size_t> place;
  for (std::size_t r = 0; r < runs.runs.size(); ++r) {
    for (const Evaluated& evaluated : runs.runs[r].evaluations) {
      const eval::DatasetDescription& dataset = evaluated.document.dataset;
      const auto [found, is_new] = place.emplace(key_of(dataset), groups.size());
      if (is_new) groups.push_back({title_of(dataset), {}});
      groups[found->second].evaluations.push_back({runs.runs[r].label, r, &runs.runs[r], &evaluated});
    }
  }
  make_different(groups);
  for (DataGroup& group : groups) name_evaluations(group);
  return groups;
}

std::vector<CatalogueGroup> catalogue_groups(const DataGroup& group) {
  std::vector<CatalogueGroup> groups;
  for (const EvaluatedRun& one : group.evaluations) {
    if (!one.document().catalogue) continue;
    const eval::CatalogueReport& report = *one.document().catalogue;
    auto found = std::find_if(groups.begin(), groups.end(), [&](const CatalogueGroup& known) {
      return eval::same_catalogue_task(known.report(), report);
    });
    if (found == groups.end()) found = groups.insert(found, {eval::catalogue_task_text(report), {}});
    found->evaluations.push_back(&one);
  }
  return groups;
}

bool same_values(const eval::Estimates& a, const eval::Estimates& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    constexpr double kRounding = 1e-9;  // of means that another version summed in another order
    return x.first == y.first && std::abs(x.second.value - y.second.value) < kRounding;
  });
}

std::vector<Headline> headlines_of(const eval::EvaluationDocument& document) {
  std::vector<Headline> headlines;
  if (document.candidates) {
    const auto* scores = core::find(document.candidates->scores, document.candidates->headline);
    add_headline(
        headlines, "accuracy",
        fmt::format("puts the right one of {} candidates first", range_of(document.candidates->lists.num_candidates)),
        scores ? &scores->metrics : nullptr, document.candidates->baselines);
  }
  if (document.catalogue) {
    const auto* scores = core::find(document.catalogue->scores, document.catalogue->headline);
    add_headline(headlines, "hit_rate@10",
                 fmt::format("has the bought one of all {} items among its first ten", document.catalogue->num_items),
                 scores ? &scores->values.metrics : nullptr, document.catalogue->baselines);
    if (!headlines.empty() && headlines.back().metric == "hit_rate@10")
      headlines.back().ranking = eval::catalogue_task_text(*document.catalogue);
  }
  if (document.generation)
    add_headline(headlines, "exact_match", "writes the right title", &document.generation->metrics,
                 document.generation->baselines);
  return headlines;
}

}  // namespace allreco::report
