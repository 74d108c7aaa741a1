#include "audit/audit.h"

#include <algorithm>

#include "audit/leaks.h"
#include "audit/rules.h"
#include "audit/verdicts.h"

namespace allreco::audit {

namespace {

void add_all(const AuditSplit& split, Examples& examples) {
  for (const AuditExample& example : split.examples) examples.push_back(&example);
}

Parts parts_of(const AuditData& data) {
  const AuditSplit* train = data.split("train");
  const AuditSplit* test = data.split("test") != nullptr ? data.split("test") : data.split("validation");
  Parts parts;
  for (const AuditSplit& split : data.splits) add_all(split, parts.all);
  if (train != nullptr && test != nullptr) {
    add_all(*train, parts.learned_on);
    add_all(*test, parts.tested_on);
    parts.learned_name = train->name;
    parts.tested_name = test->name;
    return parts;
  }
  for (const AuditSplit& split : data.splits)
    for (std::size_t i = 0; i < split.examples.size(); ++i)
      (fold_of(split.examples[i], i) % 2 == 0 ? parts.learned_on : parts.tested_on).push_back(&split.examples[i]);
  const std::string name = data.splits.empty() ? "nothing" : data.splits.front().name;
  parts.learned_name = "a part of " + name;
  parts.tested_name = "the rest of " + name;
  return parts;
}

std::string text_at(const core::Json& json, const char* pointer) {
  const core::Json::json_pointer place(pointer);
  return json.contains(place) && json.at(place).is_string() ? json.at(place).get<std::string>() : "unknown";
}

Examined examined(const AuditData& data, const data::DatasetInfo& info, const Parts& parts) {
  Examined result{.fingerprint = info.fingerprint,
                  .source = text_at(info.json, "/source"),
                  .split_method = text_at(info.json, "/split_method/method"),
                  .learned_on = parts.learned_name,
                  .tested_on = parts.tested_name,
                  .options_from = data.options_from,
                  .num_answer_not_in_options = data.num_answer_not_in_options};
  for (const AuditSplit& split : data.splits) {
    result.examples.emplace_back(split.name, share_of(std::ssize(split.examples), split.size));
    for (const AuditExample& example : split.examples)
      ++(example.options.empty() ? result.num_without_options : result.num_with_options);
  }
  return result;
}

}  // namespace

AuditDocument audit(const AuditData& data, const data::DatasetInfo& info, const AuditConfig& config) {
  const Parts parts = parts_of(data);
  AuditDocument document{.examined = examined(data, info, parts)};
  document.base_rates = base_rates(data, parts.learned_on, parts.tested_on);
  const auto rules = measure_rules(data, parts, {config.bootstrap_samples, config.seed});
  document.options =
      rules ? core::Part<OptionsReport>{rules->report, ""} : core::Part<OptionsReport>::none(rules.not_applicable);
  document.duplicates = find_duplicates(data);
  document.visibility = find_visible_answers(data, parts.learned_on, parts.tested_on);
  document.times = compare_times(data, info, parts.learned_on, parts.tested_on);
  judge(document, rules);
  return document;
}

AuditDocument audit(const AuditConfig& config) {
  const data::DatasetInfo info = data::read_dataset_info(config.dataset);
  return audit(read_audit_data(info, {config.option_pattern, config.max_examples}), info, config);
}

}  // namespace allreco::audit
